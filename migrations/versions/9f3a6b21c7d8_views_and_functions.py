"""Views and functions: the guide's summary view, the key lookup, and the only functions that change ledgers.

Revision ID: 9f3a6b21c7d8
Revises: 5d1c7e90ab34
Create Date: 2026-11-29 10:25:00
"""

from alembic import op

revision = "9f3a6b21c7d8"
down_revision = "5d1c7e90ab34"
branch_labels = None
depends_on = None

KEY_LOOKUP = "api_key_by_id(text)"
SEARCH = "find_customers(text, text, text[], integer)"
SEARCH_BY_NAME = "find_customers_by_name(text, text, text[], text, bigint, boolean, integer)"
COMPANY = "NULLIF(current_setting('app.company_id', true), '')::bigint"
# Each function changes or clears columns of a ledger within the company of the transaction.
FUNCTIONS = {
    "erase_transitions(relationship bigint, seqs bigint[], causes text[])": (
        "void",
        """
        UPDATE public.journey_transitions t SET notes = NULL, performed_by = NULL, request = NULL, cause_id = new.cause
        FROM unnest(seqs, causes) AS new(seq, cause)
        WHERE t.company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
          AND t.relationship_id = relationship AND t.seq = new.seq
        """,
    ),
    "erase_events(relationship bigint, sources text[], ids text[], new_sources text[], new_ids text[],"
    " bookings text[], contents bytea[], retracted_sources text[], retracted_ids text[], ties integer[])": (
        "void",
        """
        UPDATE public.journey_events e
        SET source = new.new_source, event_id = new.new_id, booking_id = new.booking, content_hash = new.content,
          retracts_source = new.retracted_source, retracts_id = new.retracted_id, tie_break = new.tie, metadata = NULL
        FROM unnest(sources, ids, new_sources, new_ids, bookings, contents, retracted_sources, retracted_ids, ties)
          AS new(source, id, new_source, new_id, booking, content, retracted_source, retracted_id, tie)
        WHERE e.company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
          AND e.relationship_id = relationship AND e.source = new.source AND e.event_id = new.id
        """,
    ),
    "move_events(from_relationship bigint, to_relationship bigint)": (
        "void",
        """
        UPDATE public.journey_events e
        SET relationship_id = to_relationship, merged_from = coalesce(e.merged_from, from_relationship)
        WHERE e.company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
          AND e.relationship_id = from_relationship
        """,
    ),
    "rename_consents(old_id bigint, new_id bigint)": (
        "void",
        """
        UPDATE public.consent_changes SET customer_id = new_id
        WHERE company_id = NULLIF(current_setting('app.company_id', true), '')::bigint AND customer_id = old_id
        """,
    ),
    "rename_in_audit(old_id bigint, new_id bigint, naming text)": (
        "void",
        """
        UPDATE public.audit_log a
        SET customer_id = CASE WHEN customer_id = old_id THEN new_id ELSE customer_id END,
            request_id = NULL, reason = NULL
        WHERE company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
          AND (customer_id = old_id OR a.reason ~* naming OR a.request_id ~* naming)
        """,
    ),
    "clear_event_details(before timestamptz, most integer)": (
        "bigint",
        """
        WITH old AS (
          SELECT source, event_id FROM public.journey_events
          WHERE company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
            AND metadata IS NOT NULL AND occurred_at < before
          ORDER BY occurred_at LIMIT most),
        done AS (
          UPDATE public.journey_events e SET metadata = NULL FROM old
          WHERE e.company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
            AND e.source = old.source AND e.event_id = old.event_id RETURNING 1)
        SELECT count(*) FROM done
        """,
    ),
    "prune_audit(before timestamptz, most integer)": (
        "bigint",
        """
        WITH old AS (
          SELECT id FROM public.audit_log
          WHERE company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
            AND at < least(before, clock_timestamp() - interval '30 days') -- the newest rows stay, for every caller
          ORDER BY at LIMIT most),
        done AS (
          DELETE FROM public.audit_log a USING old
          WHERE a.company_id = NULLIF(current_setting('app.company_id', true), '')::bigint
            AND a.id = old.id RETURNING 1)
        SELECT count(*) FROM done
        """,
    ),
}

# The events that count: none that is retracted, and of the completed, missed and cancelled events of a booking the one
# with the greatest (reported_at or else occurred_at; cancelled, completed, missed; source; id). The conditions on
# retracts_id and booking_id are those of partial indexes.
_RETRACTED = (
    "EXISTS (SELECT 1 FROM journey_events r WHERE r.company_id = {event}.company_id"
    " AND r.retracts_source = {event}.source AND r.retracts_id = {event}.event_id AND r.retracts_id IS NOT NULL"
    " AND r.relationship_id = {event}.relationship_id AND {event}.type <> 'event_retracted')"
)
_PRECEDENCE = (
    "(coalesce({event}.reported_at, {event}.occurred_at), CASE {event}.type WHEN 'appointment_missed' THEN 1"
    " WHEN 'appointment_completed' THEN 2 ELSE 3 END, {event}.tie_break, {event}.source COLLATE \"C\","
    " {event}.event_id COLLATE \"C\")"
)
_IS_OUTCOME = "{event}.type IN ('appointment_completed', 'appointment_missed', 'appointment_cancelled')"
COUNTED_EVENTS = (
    f"SELECT e.* FROM journey_events e WHERE NOT {_RETRACTED.format(event='e')}"
    " AND NOT EXISTS (SELECT 1 FROM journey_events o WHERE o.company_id = e.company_id"
    " AND o.relationship_id = e.relationship_id AND o.booking_id = e.booking_id AND o.booking_id IS NOT NULL"
    f" AND {_IS_OUTCOME.format(event='e')} AND {_IS_OUTCOME.format(event='o')}"
    f" AND {_PRECEDENCE.format(event='o')} > {_PRECEDENCE.format(event='e')}"
    f" AND NOT {_RETRACTED.format(event='o')})"
)

# Rights of the owner of these functions, by column.
ERASER_RIGHTS = {
    "journey_transitions": "SELECT, UPDATE (notes, performed_by, request, cause_id)",
    "journey_events": "SELECT, UPDATE (source, event_id, booking_id, content_hash, metadata, retracts_source, retracts_id,"
    " tie_break, relationship_id, merged_from)",
    "consent_changes": "SELECT, UPDATE (customer_id)",
    "audit_log": "SELECT, UPDATE (customer_id, request_id, reason), DELETE",
}


def _signature(declared: str) -> str:
    name, arguments = declared.rstrip(")").split("(")
    return f"{name}({', '.join(argument.split()[1] for argument in arguments.split(', '))})"


def _send_message(function: str, role: str) -> None:
    """Makes a role the owner of a function that only the service may call."""
    op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO journey_app")
    op.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
    op.execute(f"ALTER FUNCTION {function} OWNER TO {role}")
    op.execute(f"REVOKE CREATE ON SCHEMA public FROM {role}")


def upgrade() -> None:
    # A credential is looked up before its company is known, by this function only.
    op.execute("CREATE POLICY keyring ON api_keys FOR SELECT TO journey_keyring USING (true)")
    op.execute("GRANT SELECT ON api_keys TO journey_keyring")
    op.execute(
        """
        CREATE FUNCTION api_key_by_id(wanted text) RETURNS SETOF api_keys
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
        AS $$ SELECT * FROM public.api_keys WHERE key_id = wanted AND revoked_at IS NULL $$
        """
    )
    _send_message(KEY_LOOKUP, "journey_keyring")
    # With row-level security a condition on text could not use the index of the search: it might show rows of other
    # companies in an error. These functions see all of them and return ids of the company of the transaction only. They
    # plan each search for its words, and by the index.
    op.execute("CREATE POLICY searcher ON customers FOR SELECT TO journey_searcher USING (true)")
    op.execute("GRANT SELECT (company_id, customer_id, name_key, search) ON customers TO journey_searcher")
    settings = (
        "STABLE SECURITY DEFINER SET search_path = pg_catalog, public SET plan_cache_mode = force_custom_plan"
        " SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off"
    )
    found = (
        "RETURN QUERY SELECT c.customer_id FROM public.customers c WHERE c.company_id = company"
        " AND c.search LIKE first_word AND c.search LIKE second_word AND c.search LIKE ALL (words)"
    )
    op.execute(
        f"""
        CREATE FUNCTION find_customers(first_word text, second_word text, words text[], most integer)
        RETURNS SETOF bigint LANGUAGE plpgsql ROWS 1000 {settings} AS $$
        DECLARE company bigint := {COMPANY};
        BEGIN
          {found} LIMIT most;
        END $$
        """
    )
    # The first ones by name after a position, or from the start: those that match are sorted.
    op.execute(
        f"""
        CREATE FUNCTION find_customers_by_name(first_word text, second_word text, words text[],
          after_name text, after_id bigint, is_descending boolean, most integer)
        RETURNS SETOF bigint LANGUAGE plpgsql ROWS 50 {settings} AS $$
        DECLARE company bigint := {COMPANY};
        BEGIN
          IF is_descending THEN
            {found} AND (after_name IS NULL OR (c.name_key, c.customer_id) < (after_name COLLATE "C", after_id))
            ORDER BY c.name_key DESC, c.customer_id DESC LIMIT most;
          ELSE
            {found} AND (after_name IS NULL OR (c.name_key, c.customer_id) > (after_name COLLATE "C", after_id))
            ORDER BY c.name_key, c.customer_id LIMIT most;
          END IF;
        END $$
        """
    )
    _send_message(SEARCH, "journey_searcher")
    _send_message(SEARCH_BY_NAME, "journey_searcher")
    for table, rights in ERASER_RIGHTS.items():
        op.execute(f"GRANT {rights} ON {table} TO journey_eraser")
    for declared, (result, body) in FUNCTIONS.items():
        op.execute(
            f"CREATE FUNCTION {declared} RETURNS {result} LANGUAGE sql SECURITY DEFINER"
            f" SET search_path = pg_catalog, public AS $$ {body} $$"
        )
        _send_message(_signature(declared), "journey_eraser")
    # The guide's summary view. It runs with the rights of the caller, so that row-level security applies.
    op.execute(
        "CREATE VIEW journey_analytics_summary WITH (security_invoker = true) AS"
        " SELECT company_id, current_stage, count(*) AS customer_count, avg(lifetime_value) AS avg_ltv,"
        " avg(risk_score) AS avg_risk FROM customer_relationships WHERE current_stage <> 'merged'"
        " GROUP BY company_id, current_stage"
    )
    op.execute("GRANT SELECT ON journey_analytics_summary TO journey_app, journey_readonly")
    op.execute(f"CREATE VIEW counted_events WITH (security_invoker = true) AS {COUNTED_EVENTS}")
    op.execute("GRANT SELECT ON counted_events TO journey_app, journey_readonly")


def downgrade() -> None:
    op.execute("DROP VIEW counted_events")
    op.execute("DROP VIEW journey_analytics_summary")
    for declared in FUNCTIONS:
        op.execute(f"DROP FUNCTION {_signature(declared)}")
    for table in ERASER_RIGHTS:
        op.execute(f"REVOKE ALL ON {table} FROM journey_eraser")
    op.execute(f"DROP FUNCTION {SEARCH_BY_NAME}")
    op.execute(f"DROP FUNCTION {SEARCH}")
    op.execute("REVOKE ALL ON customers FROM journey_searcher")
    op.execute("DROP POLICY searcher ON customers")
    op.execute(f"DROP FUNCTION {KEY_LOOKUP}")
    op.execute("REVOKE ALL ON api_keys FROM journey_keyring")
    op.execute("DROP POLICY keyring ON api_keys")
