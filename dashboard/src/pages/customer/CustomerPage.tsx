import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { Link, Navigate, useParams, useSearch } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ProblemError } from '../../api/problems';
import { customerQuery, journeyQuery, type Customer, type Journey } from '../../api/queries/customer';
import { can } from '../../api/rights';
import { localDay } from '../../format/formats';
import { endOfDay } from '../../format/instants';
import { useFormats } from '../../format/useFormats';
import { EmptyState } from '../../parts/EmptyState';
import { Denied, Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';
import { notify } from '../../parts/notices';
import { useBoot } from '../../parts/useBoot';
import { AsOfBanner } from './AsOf';
import { ViewContext, type View } from './context';
import { DuplicateHint } from './DuplicateHint';
import { Glance } from './Glance';
import { Head } from './Head';
import { Journeys } from './Journeys';
import { NextMoves } from './NextMoves';
import { OpenWork } from './OpenWork';
import { Prediction } from './Prediction';
import { Scores } from './Scores';
import '../../look/customer.css';
import '../../words/customerPage';

const WHOLE = /^-?\d{1,16}$/;

/** Everything about one customer, now or at the end of a past day. */
export function CustomerPage() {
  const { t } = useTranslation();
  const { id } = useParams({ from: '/customers/$id' });
  const { scopes } = useBoot();
  if (!can(scopes, 'customers:read'))
    return (
      <div className="page">
        <h1>{t('customer.title')}</h1>
        <Denied scope="customers:read" />
      </div>
    );
  if (!WHOLE.test(id)) return <Missing id={id} title={t('customer.notFound', { id })} />;
  return <Loaded key={id} id={Number(id)} />;
}

function Missing({ id, title, text }: { id: string; title: string; text?: string }) {
  const { t } = useTranslation();
  return (
    <div className="page">
      <h1>{t('customer.unnamed', { id })}</h1>
      <EmptyState title={title}>
        <p>{text ?? t('customer.notFoundText')}</p>
        <Link to="/" className="link">
          {t('customer.toList')}
        </Link>
      </EmptyState>
    </div>
  );
}

function Loaded({ id }: { id: number }) {
  const { t } = useTranslation();
  const { company } = useBoot();
  const today = localDay(company.now, company.timezone);
  const search = useSearch({ from: '/customers/$id' });
  const asOf = search.as_of !== undefined && search.as_of < today ? search.as_of : undefined;
  const instant = asOf === undefined ? undefined : endOfDay(asOf, company.timezone);
  const [isErased, setErased] = useState(false);
  const profile = useQuery({ ...customerQuery(id), enabled: !isErased });
  const past = useQuery({
    ...journeyQuery(id, instant),
    enabled: instant !== undefined,
    placeholderData: keepPreviousData,
  });
  const { data: customer, error } = profile;
  if (isErased)
    return (
      <Missing id={String(id)} title={t('customer.erasedTitle', { id })} text={t('customer.erasedText')} />
    );
  if (error instanceof ProblemError && error.status === 404)
    return customer === undefined ? (
      <Missing id={String(id)} title={t('customer.notFound', { id })} />
    ) : (
      <Missing id={String(id)} title={t('customer.goneTitle', { id })} text={t('customer.goneText')} />
    );
  if (customer === undefined)
    return (
      <div className="page">
        <h1>{t('customer.unnamed', { id })}</h1>
        {error === null ? (
          <Loading height={500} />
        ) : (
          <Failure error={error} onRetry={() => void profile.refetch()} />
        )}
      </div>
    );
  // A merged id leads to the survivor, whose id the answer has.
  if (customer.customer_id !== id) return <Survivor merged={id} survivor={customer.customer_id} />;
  const journey = instant === undefined ? customer.journey : past.data;
  return (
    <Shown
      customer={customer}
      journey={journey}
      error={instant === undefined ? error : (past.error ?? error)}
      onRetry={() => void (instant === undefined ? profile.refetch() : past.refetch())}
      place={{ id, asOf, instant, today }}
      onErased={() => setErased(true)}
    />
  );
}

/** Goes on to the customer that this one was merged into. */
function Survivor({ merged, survivor }: { merged: number; survivor: number }) {
  const { t } = useTranslation();
  const told = useRef(false);
  useEffect(() => {
    if (!told.current) notify(t('merge.redirected', { id: merged }));
    told.current = true;
  }, [t, merged]);
  return <Navigate to="/customers/$id" params={{ id: String(survivor) }} search replace />;
}

type ShownProps = {
  customer: Customer;
  journey: Journey | undefined;
  error: Error | null;
  onRetry: () => void;
  place: Pick<View, 'id' | 'asOf' | 'instant' | 'today'>;
  onErased: () => void;
};

function Shown({ customer, journey, error, onRetry, place, onErased }: ShownProps) {
  const { t } = useTranslation();
  const formats = useFormats();
  const { id } = place;
  const isErased = id < 0;
  const given = customer.name?.trim() ?? '';
  const name = isErased ? t('customer.erasedName') : given === '' ? t('customer.unnamed', { id }) : given;
  const firstName = given === '' ? null : (given.split(/\s+/)[0] ?? given);
  const view: View = {
    ...place,
    customer,
    journey: journey ?? customer.journey,
    name,
    firstName,
    isErased,
    onErased,
  };
  const notStarted = error instanceof ProblemError && error.code === 'journey-not-started';
  return (
    <ViewContext value={view}>
      <div className="page customer">
        <Head />
        <AsOfBanner />
        <DuplicateHint />
        {isErased && <p className="erased-note">{t('customer.erasedNote')}</p>}
        {notStarted ? (
          <EmptyState
            title={t('customer.asOf.notStarted', { day: formats.instantDay(customer.journey.created_at) })}
          />
        ) : (
          error !== null && <Failure error={error} onRetry={onRetry} />
        )}
        {journey === undefined ? !notStarted && error === null && <Loading height={500} /> : <Body />}
      </div>
    </ViewContext>
  );
}

function Body() {
  return (
    <div className="grid customer-grid">
      <div className="grid customer-main">
        <NextMoves />
        <Prediction />
        <Journeys />
      </div>
      <div className="grid customer-side">
        <OpenWork />
        <Glance />
        <Scores />
      </div>
    </div>
  );
}
