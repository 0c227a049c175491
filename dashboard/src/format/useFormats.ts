import { createContext, useContext } from 'react';

import { createFormats, type Formats } from './formats';

export const FormatsContext = createContext<Formats>(
  createFormats({ language: 'en', timezone: 'UTC', currency: 'EUR' }),
);

export const useFormats = (): Formats => useContext(FormatsContext);
