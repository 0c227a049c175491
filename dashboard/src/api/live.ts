/**
 * One event stream for all tabs of a browser: HTTP/1.1 allows six connections to a host. The tab that holds the lock
 * reads the stream and shares what it reads; another takes the lock over when that tab closes.
 */
import type { QueryClient } from '@tanstack/react-query';
import { useSyncExternalStore } from 'react';

import type { Schemas } from './client';

export type LiveState = 'connecting' | 'live' | 'lost';
type Message = { state: LiveState } | { type: string } | { question: true };

const FITTED = 'churn-model.fitted';

/** The first parts of the keys of the queries that an event of each type can change. */
const CHANGED: Record<string, readonly string[]> = {
  'stage.changed': ['analytics', 'drill', 'customers', 'atRisk', 'today'],
  'customer.at_risk': ['atRisk', 'today'],
  'task.created': ['tasks', 'today', 'atRisk', 'customers'],
  'task.changed': ['tasks', 'today', 'atRisk', 'customers'],
  'campaign.started': ['campaigns', 'today', 'atRisk', 'customers'],
  'campaign.ended': ['campaigns', 'today', 'atRisk', 'customers'],
  'action.finished': ['actions', 'campaigns', 'today', 'atRisk', 'customers'],
  'job.progress': ['jobs'],
  // Not a type of the stream: the end of the job that fits the churn model, which changes every prediction.
  [FITTED]: ['jobs', 'analytics', 'customers', 'atRisk'],
};
const TYPES = Object.keys(CHANGED).filter((type) => type !== FITTED);
const LOCK = 'journey.stream';
/** Streams end each minute by design; a pause of this length is no alarm. */
const PATIENCE_MS = 10_000;
const REFRESH_MS = 2_000;
const MAX_BACKOFF_MS = 30_000;

let state: LiveState = 'connecting';
const listeners = new Set<() => void>();

function setState(next: LiveState): void {
  if (next === state) return;
  state = next;
  for (const listener of listeners) listener();
}

export function useLiveState(): LiveState {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => state,
  );
}

/** Begins to follow the stream, and refreshes what its events have changed. Returns how to end it. */
export function followStream(client: QueryClient): () => void {
  const channel = new BroadcastChannel(LOCK);
  const ending = new AbortController();
  const refresh = refresher(client);
  let isLeader = false;

  const tell = (message: Message) => {
    // What was read before the page went away still arrives here; the channel is closed by then.
    if (ending.signal.aborted) return;
    apply(message);
    channel.postMessage(message);
  };
  const apply = (message: Message) => {
    if ('state' in message) setState(message.state);
    else if ('type' in message) refresh(message.type);
    else if (isLeader) channel.postMessage({ state });
  };
  channel.addEventListener('message', (event: MessageEvent<Message>) => apply(event.data));
  channel.postMessage({ question: true });
  const lead = async () => {
    isLeader = true;
    await readStream(tell, ending.signal);
  };
  navigator.locks.request(LOCK, { signal: ending.signal }, lead).catch(() => {
    // The page went away while it waited for the lock.
  });
  return () => {
    ending.abort();
    channel.close();
  };
}

/** Refreshes what events of a type can change, each at most once in two seconds. */
export function refresher(client: QueryClient): (type: string) => void {
  const waiting = new Set<string>();
  return (type) => {
    for (const key of CHANGED[type] ?? []) {
      if (waiting.has(key)) continue;
      waiting.add(key);
      window.setTimeout(() => {
        waiting.delete(key);
        void client.invalidateQueries({ queryKey: [key] });
      }, REFRESH_MS);
    }
  };
}

/** Returns what an event of a type has changed: its type, or that a new churn model is there. */
export function changeOf(type: string, text: string): string {
  if (type !== 'job.progress') return type;
  const { data } = JSON.parse(text) as Schemas['JobProgressMessage'];
  return data.kind === 'fit_churn_model' && data.status === 'done' ? FITTED : type;
}

/** Reads the stream until the page goes away. An answer other than 200 closes an EventSource: then a new one is made. */
function readStream(tell: (message: Message) => void, signal: AbortSignal): Promise<void> {
  let source: EventSource;
  let alarm: number | undefined;
  let backoff = 1_000;
  let lastId = '';
  const lose = () => {
    alarm ??= window.setTimeout(() => tell({ state: 'lost' }), PATIENCE_MS);
  };
  const calm = () => {
    clearTimeout(alarm);
    alarm = undefined;
  };
  const open = () => {
    const types = TYPES.map((type) => `types=${type}`).join('&');
    const position = lastId === '' ? '' : `&last_event_id=${lastId}`;
    source = new EventSource(`/api/v1/stream?${types}${position}`);
    source.addEventListener('open', () => {
      calm();
      backoff = 1_000;
      tell({ state: 'live' });
    });
    source.addEventListener('error', () => {
      lose();
      if (source.readyState !== EventSource.CLOSED || signal.aborted) return;
      window.setTimeout(open, backoff);
      backoff = Math.min(backoff * 2, MAX_BACKOFF_MS);
    });
    for (const type of TYPES) {
      source.addEventListener(type, (event) => {
        const { lastEventId, data } = event as MessageEvent<string>;
        lastId = lastEventId;
        tell({ type: changeOf(type, data) });
      });
    }
  };
  open();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => {
      calm();
      source.close();
      resolve();
    });
  });
}
