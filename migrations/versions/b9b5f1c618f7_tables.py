"""The tables: companies, customers, journeys, events, imports, keys

Revision ID: b9b5f1c618f7
Revises: 
Create Date: 2026-11-22 13:54:59.269435
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = 'b9b5f1c618f7'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('companies',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('timezone', sa.String(length=64), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('clock_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('map_version', sa.Integer(), nullable=False),
    sa.Column('policy', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_companies'))
    )
    op.create_table('api_keys',
    sa.Column('company_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('key_id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('secret_hash', sa.LargeBinary(), nullable=False),
    sa.Column('scopes', sa.ARRAY(sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['company_id'], ['companies.id'], name=op.f('fk_api_keys_companies')),
    sa.PrimaryKeyConstraint('company_id', 'key_id', name=op.f('pk_api_keys'))
    )
    op.create_index('ix_live_api_keys', 'api_keys', ['key_id'], unique=False, postgresql_where=sa.text('revoked_at IS NULL'))
    op.create_table('customer_journey_stages',
    sa.Column('company_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('stage_key', sa.String(length=50), nullable=False),
    sa.Column('stage_name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('order_index', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('color', sa.String(length=7), nullable=True),
    sa.Column('icon', sa.String(length=50), nullable=True),
    sa.Column('auto_transition_rules', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('retention_days', sa.Integer(), nullable=True),
    sa.Column('is_active', sa.Boolean(), server_default=sa.text('true'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.CheckConstraint("kind IN ('progress', 'risk')", name=op.f('ck_customer_journey_stages_kind')),
    sa.ForeignKeyConstraint(['company_id'], ['companies.id'], name=op.f('fk_customer_journey_stages_companies')),
    sa.PrimaryKeyConstraint('company_id', 'id', name=op.f('pk_customer_journey_stages')),
    sa.UniqueConstraint('company_id', 'stage_key', name='unique_company_stage')
    )
    op.create_index('idx_company_order', 'customer_journey_stages', ['company_id', 'order_index'], unique=False)
    op.create_table('customers',
    sa.Column('company_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('customer_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('name', sa.Text(), nullable=True),
    sa.Column('email', sa.Text(), nullable=True),
    sa.Column('phone', sa.Text(), nullable=True),
    sa.Column('consents', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.ForeignKeyConstraint(['company_id'], ['companies.id'], name=op.f('fk_customers_companies')),
    sa.PrimaryKeyConstraint('company_id', 'customer_id', name=op.f('pk_customers'))
    )
    op.create_table('imports',
    sa.Column('company_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('content_hash', sa.LargeBinary(), nullable=True),
    sa.Column('status', sa.String(length=8), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('lines', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('staged', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('done', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('applied', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('duplicates', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('late', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('later', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('transitions', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('failed_lines', sa.BigInteger(), server_default=sa.text('0'), nullable=False),
    sa.Column('cursor', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('actor', sa.String(length=255), nullable=False),
    sa.Column('lease_token', sa.Text(), nullable=True),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("status IN ('reading', 'queued', 'running', 'done', 'failed')", name=op.f('ck_imports_status')),
    sa.ForeignKeyConstraint(['company_id'], ['companies.id'], name=op.f('fk_imports_companies')),
    sa.PrimaryKeyConstraint('company_id', 'id', name=op.f('pk_imports'))
    )
    op.create_index('ix_due_imports', 'imports', ['created_at', 'company_id', 'id'], unique=False, postgresql_where=sa.text("status IN ('queued', 'running')"))
    op.create_table('stage_map_versions',
    sa.Column('company_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('stages', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('author', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.ForeignKeyConstraint(['company_id'], ['companies.id'], name=op.f('fk_stage_map_versions_companies')),
    sa.PrimaryKeyConstraint('company_id', 'version', name=op.f('pk_stage_map_versions'))
    )
    op.create_table('customer_relationships',
    sa.Column('company_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('customer_id', sa.BigInteger(), nullable=False),
    sa.Column('current_stage', sa.String(length=50), nullable=False),
    sa.Column('stage_entered_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('previous_stage', sa.String(length=50), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('lifetime_value', sa.Numeric(precision=14, scale=2), server_default=sa.text('0'), nullable=False),
    sa.Column('total_appointments', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('total_missed', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('first_appointment_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_appointment_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_event_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('appointments_value', sa.Numeric(precision=14, scale=2), server_default=sa.text('0'), nullable=False),
    sa.Column('payments_value', sa.Numeric(precision=14, scale=2), server_default=sa.text('0'), nullable=False),
    sa.Column('refunds_value', sa.Numeric(precision=14, scale=2), server_default=sa.text('0'), nullable=False),
    sa.Column('recent_completed', sa.ARRAY(sa.DateTime(timezone=True)), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('recent_missed', sa.ARRAY(sa.DateTime(timezone=True)), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('recent_long_calls', sa.ARRAY(sa.DateTime(timezone=True)), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('recent_tickets', sa.ARRAY(sa.DateTime(timezone=True)), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('last_progress_stage', sa.String(length=50), nullable=True),
    sa.Column('stages_held', sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('pin_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('pin_state', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('risk_score', sa.Numeric(precision=3, scale=2), nullable=True),
    sa.Column('engagement_score', sa.Numeric(precision=3, scale=2), nullable=True),
    sa.Column('scored_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('next_evaluation_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('metadata', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.CheckConstraint('version >= 1', name=op.f('ck_customer_relationships_version')),
    sa.ForeignKeyConstraint(['company_id', 'customer_id'], ['customers.company_id', 'customers.customer_id'], name=op.f('fk_customer_relationships_customers')),
    sa.PrimaryKeyConstraint('company_id', 'id', name=op.f('pk_customer_relationships')),
    sa.UniqueConstraint('company_id', 'customer_id', name='unique_company_customer'),
    postgresql_with={'fillfactor': '80'}
    )
    op.create_index('idx_risk', 'customer_relationships', ['company_id', 'risk_score'], unique=False)
    op.create_index('idx_stage', 'customer_relationships', ['company_id', 'current_stage'], unique=False)
    op.create_index('idx_stage_risk', 'customer_relationships', ['company_id', 'current_stage', 'risk_score'], unique=False)
    op.create_index('ix_due_relationships', 'customer_relationships', ['next_evaluation_at', 'company_id', 'id'], unique=False, postgresql_where=sa.text('next_evaluation_at IS NOT NULL'))
    op.create_table('import_errors',
    sa.Column('company_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('import_id', sa.BigInteger(), nullable=False),
    sa.Column('line', sa.BigInteger(), nullable=False),
    sa.Column('pointer', sa.Text(), nullable=False),
    sa.Column('message', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['company_id', 'import_id'], ['imports.company_id', 'imports.id'], name=op.f('fk_import_errors_imports')),
    sa.PrimaryKeyConstraint('company_id', 'import_id', 'line', 'pointer', name=op.f('pk_import_errors'))
    )
    op.create_table('import_lines',
    sa.Column('company_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('import_id', sa.BigInteger(), nullable=False),
    sa.Column('customer_id', sa.BigInteger(), nullable=False),
    sa.Column('occurred_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('line', sa.BigInteger(), nullable=False),
    sa.Column('type', sa.String(length=32), nullable=False),
    sa.Column('source', sa.String(length=255), nullable=True),
    sa.Column('event_id', sa.String(length=255), nullable=True),
    sa.Column('amount_cents', sa.BigInteger(), nullable=False),
    sa.Column('call_duration', sa.Integer(), nullable=True),
    sa.Column('booking_id', sa.String(length=255), nullable=True),
    sa.Column('scheduled_for', sa.DateTime(timezone=True), nullable=True),
    sa.Column('metadata', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.ForeignKeyConstraint(['company_id', 'import_id'], ['imports.company_id', 'imports.id'], name=op.f('fk_import_lines_imports')),
    sa.PrimaryKeyConstraint('company_id', 'import_id', 'customer_id', 'occurred_at', 'line', name=op.f('pk_import_lines'))
    )
    op.create_table('journey_events',
    sa.Column('company_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('source', sa.String(length=255), nullable=False),
    sa.Column('event_id', sa.String(length=255), nullable=False),
    sa.Column('relationship_id', sa.BigInteger(), nullable=False),
    sa.Column('type', sa.String(length=32), nullable=False),
    sa.Column('occurred_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('content_hash', sa.LargeBinary(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=14, scale=2), server_default=sa.text('0'), nullable=False),
    sa.Column('call_duration', sa.Integer(), nullable=True),
    sa.Column('booking_id', sa.String(length=255), nullable=True),
    sa.Column('scheduled_for', sa.DateTime(timezone=True), nullable=True),
    sa.Column('metadata', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('stage', sa.String(length=50), nullable=False),
    sa.Column('transition_seq', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['company_id', 'relationship_id'], ['customer_relationships.company_id', 'customer_relationships.id'], name=op.f('fk_journey_events_customer_relationships')),
    sa.PrimaryKeyConstraint('company_id', 'source', 'event_id', name=op.f('pk_journey_events'))
    )
    op.create_index('idx_relationship_events', 'journey_events', ['company_id', 'relationship_id', 'occurred_at'], unique=False)
    op.create_table('journey_transitions',
    sa.Column('company_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('relationship_id', sa.BigInteger(), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('from_stage', sa.String(length=50), nullable=True),
    sa.Column('to_stage', sa.String(length=50), nullable=False),
    sa.Column('transitioned_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('trigger_type', sa.String(length=9), nullable=False),
    sa.Column('trigger_event', sa.String(length=255), nullable=True),
    sa.Column('performed_by', sa.BigInteger(), nullable=True),
    sa.Column('actor', sa.String(length=255), nullable=True),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('reasons', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('request', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('map_version', sa.Integer(), nullable=False),
    sa.Column('cause_kind', sa.String(length=16), nullable=False),
    sa.Column('cause_id', sa.Text(), nullable=False),
    sa.CheckConstraint("trigger_type IN ('manual', 'automatic', 'system')", name=op.f('ck_journey_transitions_trigger_type')),
    sa.CheckConstraint('(from_stage IS NULL) = (seq = 1)', name=op.f('ck_journey_transitions_opening')),
    sa.CheckConstraint('from_stage IS DISTINCT FROM to_stage', name=op.f('ck_journey_transitions_moves')),
    sa.ForeignKeyConstraint(['company_id', 'relationship_id'], ['customer_relationships.company_id', 'customer_relationships.id'], name=op.f('fk_journey_transitions_customer_relationships')),
    sa.PrimaryKeyConstraint('company_id', 'relationship_id', 'seq', name=op.f('pk_journey_transitions')),
    sa.UniqueConstraint('company_id', 'relationship_id', 'cause_kind', 'cause_id', name='unique_transition_cause')
    )
    op.create_index('idx_customer_time', 'journey_transitions', ['company_id', 'relationship_id', sa.literal_column('transitioned_at DESC')], unique=False)


def downgrade() -> None:
    op.drop_index('idx_customer_time', table_name='journey_transitions')
    op.drop_table('journey_transitions')
    op.drop_index('idx_relationship_events', table_name='journey_events')
    op.drop_table('journey_events')
    op.drop_table('import_lines')
    op.drop_table('import_errors')
    op.drop_index('ix_due_relationships', table_name='customer_relationships', postgresql_where=sa.text('next_evaluation_at IS NOT NULL'))
    op.drop_index('idx_stage_risk', table_name='customer_relationships')
    op.drop_index('idx_stage', table_name='customer_relationships')
    op.drop_index('idx_risk', table_name='customer_relationships')
    op.drop_table('customer_relationships')
    op.drop_table('stage_map_versions')
    op.drop_index('ix_due_imports', table_name='imports', postgresql_where=sa.text("status IN ('queued', 'running')"))
    op.drop_table('imports')
    op.drop_table('customers')
    op.drop_index('idx_company_order', table_name='customer_journey_stages')
    op.drop_table('customer_journey_stages')
    op.drop_index('ix_live_api_keys', table_name='api_keys', postgresql_where=sa.text('revoked_at IS NULL'))
    op.drop_table('api_keys')
    op.drop_table('companies')
