/** Draws one component of the guide, started with the data that the service answers. */
import { Card } from 'antd';
import { createRoot } from 'react-dom/client';

import api from './api.js';
import { loaded, useState } from './state.js';

// Names that the guide uses without an import.
Object.assign(globalThis, {
  api,
  Card,
  useState,
  StageTimeChart: ({ data }) => <pre className="stage-times">{JSON.stringify(data)}</pre>,
  refreshData: () => undefined,
  initiateCall: () => undefined,
  sendEmail: () => undefined,
  createOffer: () => undefined,
});

const shown = new URLSearchParams(location.search);
const id = shown.get('customer');
const views = {
  timeline: async () => {
    const { data } = await api.get(`/portal/customers/${id}/journey`);
    Object.assign(loaded, { object: data.journey, list: data.transitions });
    const { CustomerJourneyTimeline } = await import('./printed/CustomerJourneyTimeline.jsx');
    return <CustomerJourneyTimeline customerId={id} />;
  },
  analytics: async () => {
    const { data } = await api.get('/portal/analytics/customer-journey', { params: {} });
    Object.assign(loaded, { object: data });
    const { JourneyAnalytics } = await import('./printed/JourneyAnalytics.jsx');
    return <JourneyAnalytics companyId={Number(shown.get('company'))} />;
  },
  risk: async () => {
    const { data } = await api.get('/portal/customers/at-risk', { params: { limit: 200 } });
    Object.assign(loaded, { list: data.items });
    const { CustomerRiskDashboard } = await import('./printed/CustomerRiskDashboard.jsx');
    return <CustomerRiskDashboard companyId={Number(shown.get('company'))} />;
  },
};

createRoot(document.getElementById('root')).render(await views[shown.get('view')]());
