import { api, dataOf } from '../client';

export const cancelCampaign = (campaignId: number) =>
  dataOf(
    api.POST('/api/v1/campaigns/{campaign_id}/cancel', { params: { path: { campaign_id: campaignId } } }),
  );
