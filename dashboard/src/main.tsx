import './look/nonce';
import '@fontsource-variable/inter/wght.css';
import './look/tokens.css';
import './look/base.css';
import './look/shell.css';
import './look/cards.css';
import './look/charts.css';
import './look/segments.css';
import './look/contact.css';
import './look/table.css';
import './look/customers.css';
import './look/dialog.css';

import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { isRetried, retryDelay } from './api/problems';
import { router } from './routes';
import { wordsReady } from './words/setup';

const client = new QueryClient({
  defaultOptions: {
    queries: { staleTime: 30_000, retry: isRetried, retryDelay },
    // Without a connection a change fails at once, and is not carried out by surprise when the connection is back.
    mutations: { networkMode: 'always' },
  },
});

const root = document.querySelector('#root');
if (root === null) throw new Error('The page has no root.');
const page = createRoot(root);
void wordsReady.then(() =>
  page.render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  ),
);
