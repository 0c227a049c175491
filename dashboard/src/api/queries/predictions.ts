import { queryOptions } from '@tanstack/react-query';

import { api, dataOf, type Schemas } from '../client';
import { customerKey } from './customer';

export type Prediction = Schemas['ChurnCurve'];
export type CurvePoint = Schemas['CurvePoint'];
export type ReasonGroup = Schemas['ExplanationGroup'];
export type CalibrationReport = Schemas['CalibrationReport'];
export type CalibrationMonth = Schemas['CalibrationMonth'];
export type CalibrationBin = Schemas['CalibrationBin'];
export type ModelFit = Schemas['ModelFit'];
export type BackTest = Schemas['BackTest'];

/** The model is fitted once a night; who does not receive the end of that job sees it when the window has the focus again. */
const HALF_A_MINUTE = 30_000;

export const predictionQuery = (id: number) =>
  queryOptions({
    queryKey: customerKey(id, 'prediction'),
    queryFn: ({ signal }) =>
      dataOf(
        api.GET('/api/v1/customers/{customer_id}/prediction', {
          params: { path: { customer_id: id } },
          signal,
        }),
      ),
    staleTime: HALF_A_MINUTE,
  });

export const churnModelQuery = () =>
  queryOptions({
    queryKey: ['analytics', 'churn-model'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/analytics/churn-model', { signal })),
    staleTime: HALF_A_MINUTE,
  });

export const calibrationQuery = () =>
  queryOptions({
    queryKey: ['analytics', 'calibration'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/analytics/calibration', { signal })),
    staleTime: HALF_A_MINUTE,
  });
