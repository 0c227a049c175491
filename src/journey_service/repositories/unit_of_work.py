"""The repositories of one transaction: of one company, across companies, or for a credential."""

from collections.abc import Callable
from functools import cached_property

from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.errors import UnavailableError
from journey_service.repositories.access.api_keys import ApiKeys, KeyLookup
from journey_service.repositories.access.audit import AuditLog
from journey_service.repositories.access.idempotency_keys import IdempotencyKeys
from journey_service.repositories.access.people import KnownPeople
from journey_service.repositories.access.sessions import BrowserSessions
from journey_service.repositories.access.vault import Vault
from journey_service.repositories.actions.action_plans import ActionPlans
from journey_service.repositories.actions.campaigns import Campaigns
from journey_service.repositories.actions.contact_states import ContactStates
from journey_service.repositories.actions.delivery_log import DeliveryLog
from journey_service.repositories.actions.outbound_events import OutboundEvents
from journey_service.repositories.actions.outbox import Outbox
from journey_service.repositories.actions.tasks import Tasks
from journey_service.repositories.actions.templates import Templates
from journey_service.repositories.actions.webhook_endpoints import WebhookEndpoints
from journey_service.repositories.analytics.churn_samples import ChurnSamples
from journey_service.repositories.analytics.distribution import StageDistribution
from journey_service.repositories.analytics.drilldown import DrilldownQueries
from journey_service.repositories.analytics.duration_histograms import DurationHistograms
from journey_service.repositories.analytics.ledger_queries import LedgerQueries
from journey_service.repositories.analytics.rollups import Rollups
from journey_service.repositories.analytics.snapshots import Snapshots
from journey_service.repositories.companies.companies import Companies, CompanyDirectory
from journey_service.repositories.customers.consents import Consents
from journey_service.repositories.customers.lists.customer_list import CustomerList
from journey_service.repositories.customers.lists.duplicates import Duplicates
from journey_service.repositories.customers.lists.risk_list import RiskList
from journey_service.repositories.customers.mailboxes import Mailboxes
from journey_service.repositories.customers.merges import Merges
from journey_service.repositories.customers.personal_data import PersonalData
from journey_service.repositories.customers.profiles import Customers
from journey_service.repositories.customers.references import CustomerRefs
from journey_service.repositories.customers.tombstones import ErasureKey, Tombstones
from journey_service.repositories.events.event_histories import EventHistories
from journey_service.repositories.events.import_lines import ImportLines
from journey_service.repositories.events.imports import DueImports, Imports
from journey_service.repositories.events.ledger import Events
from journey_service.repositories.events.sources import Sources
from journey_service.repositories.journeys.churn_models import ChurnModels
from journey_service.repositories.journeys.churn_scores import ChurnScores
from journey_service.repositories.journeys.relationships import Relationships
from journey_service.repositories.journeys.scores import Scores
from journey_service.repositories.journeys.transitions import Transitions
from journey_service.repositories.operations.company_backlog import CompanyBacklog
from journey_service.repositories.operations.data_quality import DataQualityQueries
from journey_service.repositories.operations.due_work import DueWork
from journey_service.repositories.operations.health import DatabaseHealth
from journey_service.repositories.operations.jobs import DueJobs, Jobs
from journey_service.repositories.operations.reconciliation import ReconciliationQueries
from journey_service.repositories.operations.retention import DataRetention
from journey_service.repositories.stages.stage_maps import StageMaps


class UnitOfWork:
    """The repositories of one company, on the connection of one transaction.

    Everything read and written through it belongs to that company. Callables in `after_commit` run once the
    transaction is committed, and not if it is rolled back.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        company_id: int,
        erasure_key: ErasureKey | None = None,
        vault: Vault | None = None,
    ) -> None:
        self._connection = connection
        self._erasure_key = erasure_key
        self._vault = vault
        self.company_id = company_id
        self.after_commit: list[Callable[[], None]] = []

    @property
    def vault(self) -> Vault:
        """The vault of the service: encrypts secrets and signs tokens. Raises UnavailableError without a key."""
        if self._vault is None:
            raise UnavailableError("JOURNEY_VAULT_KEY is not set: secrets cannot be stored or used.")
        return self._vault

    @cached_property
    def companies(self) -> Companies:
        """The company itself: its settings, clock and policy."""
        return Companies(self._connection, self.company_id)

    @cached_property
    def visit_durations(self) -> DurationHistograms:
        """Histograms of the durations of stage visits."""
        return DurationHistograms(self._connection, self.company_id)

    @cached_property
    def stage_maps(self) -> StageMaps:
        """The versions of the stage map."""
        return StageMaps(self._connection, self.company_id)

    @cached_property
    def customers(self) -> Customers:
        """Customer profiles."""
        return Customers(self._connection, self.company_id)

    @cached_property
    def customer_refs(self) -> CustomerRefs:
        """Ids of customers that are text, and their numbers."""
        return CustomerRefs(self._connection, self.company_id)

    @cached_property
    def relationships(self) -> Relationships:
        """Customer relationships: current stage, facts and scores, one row per customer."""
        return Relationships(self._connection, self.company_id)

    @cached_property
    def churn_models(self) -> ChurnModels:
        """The fitted churn models."""
        return ChurnModels(self._connection, self.company_id)

    @cached_property
    def churn_scores(self) -> ChurnScores:
        """Stored chances to churn."""
        return ChurnScores(self._connection, self.company_id)

    @cached_property
    def churn_samples(self) -> ChurnSamples:
        """Samples of customers for the fit, and the calibration of predictions."""
        return ChurnSamples(self._connection, self.company_id)

    @cached_property
    def duplicates(self) -> Duplicates:
        """Groups of customers who share a mailbox or a phone number."""
        return Duplicates(self._connection, self.company_id)

    @cached_property
    def customer_list(self) -> CustomerList:
        """The filtered and sorted list of customers."""
        return CustomerList(self._connection, self.company_id)

    @cached_property
    def transitions(self) -> Transitions:
        """The ledger of transitions."""
        return Transitions(self._connection, self.company_id)

    @cached_property
    def action_plans(self) -> ActionPlans:
        """Pending actions, campaigns and open tasks of customers."""
        return ActionPlans(self._connection, self.company_id)

    @cached_property
    def outbox(self) -> Outbox:
        """Actions and webhook deliveries that workers claim and send."""
        return Outbox(self._connection, self.company_id)

    @cached_property
    def backlog(self) -> CompanyBacklog:
        """The work of the company that waits for workers."""
        return CompanyBacklog(self._connection, self.company_id)

    @cached_property
    def delivery_log(self) -> DeliveryLog:
        """The log of actions and their attempts."""
        return DeliveryLog(self._connection, self.company_id)

    @cached_property
    def outbound_events(self) -> OutboundEvents:
        """Events published to webhook endpoints and event streams."""
        return OutboundEvents(self._connection, self.company_id)

    @cached_property
    def templates(self) -> Templates:
        """Message templates written by the company."""
        return Templates(self._connection, self.company_id)

    @cached_property
    def tasks(self) -> Tasks:
        """Tasks of employees."""
        return Tasks(self._connection, self.company_id)

    @cached_property
    def contact_states(self) -> ContactStates:
        """Contact states of customers, read in batches without locks."""
        return ContactStates(self._connection, self.company_id)

    @cached_property
    def campaigns(self) -> Campaigns:
        """Campaigns, running and ended."""
        return Campaigns(self._connection, self.company_id)

    @cached_property
    def webhook_endpoints(self) -> WebhookEndpoints:
        """Webhook endpoints of the company."""
        return WebhookEndpoints(self._connection, self.company_id, self.vault)

    @cached_property
    def rollups(self) -> Rollups:
        """Rollups: sums per local day, written with the changes they count."""
        return Rollups(self._connection, self.company_id)

    @cached_property
    def ledger_queries(self) -> LedgerQueries:
        """Metrics for ranges of local days that the rollups do not contain."""
        return LedgerQueries(self._connection, self.company_id)

    @cached_property
    def drilldown(self) -> DrilldownQueries:
        """The customers and stage visits behind a metric."""
        return DrilldownQueries(self._connection, self.company_id)

    @cached_property
    def risk_list(self) -> RiskList:
        """The lists of customers at risk."""
        return RiskList(self._connection, self.company_id)

    @cached_property
    def snapshots(self) -> Snapshots:
        """Daily snapshots of stages."""
        return Snapshots(self._connection, self.company_id)

    @cached_property
    def reconciliation(self) -> ReconciliationQueries:
        """Comparisons of rollups, snapshots and ledgers."""
        return ReconciliationQueries(self._connection, self.company_id)

    @cached_property
    def data_quality(self) -> DataQualityQueries:
        """Searches for defective rows."""
        return DataQualityQueries(self._connection, self.company_id)

    @cached_property
    def events(self) -> Events:
        """The ledger of inbound events."""
        return Events(self._connection, self.company_id)

    @cached_property
    def event_histories(self) -> EventHistories:
        """Event histories of customers, read from the ledger."""
        return EventHistories(self._connection, self.company_id)

    @cached_property
    def imports(self) -> Imports:
        """Imports of files of past events."""
        return Imports(self._connection, self.company_id)

    @cached_property
    def import_lines(self) -> ImportLines:
        """Lines of imports that wait to be applied."""
        return ImportLines(self._connection, self.company_id)

    @cached_property
    def sources(self) -> Sources:
        """Webhooks of other systems that become events."""
        return Sources(self._connection, self.company_id, self.vault)

    @cached_property
    def jobs(self) -> Jobs:
        """Jobs and nightly runs."""
        return Jobs(self._connection, self.company_id)

    @cached_property
    def scores(self) -> Scores:
        """Stored scores, compared and updated in batches."""
        return Scores(self._connection, self.company_id)

    @cached_property
    def distribution(self) -> StageDistribution:
        """Customers per stage."""
        return StageDistribution(self._connection, self.company_id)

    @cached_property
    def api_keys(self) -> ApiKeys:
        """API keys of the company."""
        return ApiKeys(self._connection, self.company_id)

    @cached_property
    def people(self) -> KnownPeople:
        """Names of the company's employees."""
        return KnownPeople(self._connection, self.company_id)

    @cached_property
    def idempotency_keys(self) -> IdempotencyKeys:
        """Idempotency keys of requests."""
        return IdempotencyKeys(self._connection, self.company_id)

    @cached_property
    def sessions(self) -> BrowserSessions:
        """Browser sessions and sign-in links."""
        return BrowserSessions(self._connection, self.company_id)

    @cached_property
    def audit_log(self) -> AuditLog:
        """The audit log."""
        return AuditLog(self._connection, self.company_id)

    @cached_property
    def consents(self) -> Consents:
        """The ledger of consent changes."""
        return Consents(self._connection, self.company_id)

    @cached_property
    def mailboxes(self) -> Mailboxes:
        """Mailboxes of customers, and those that have unsubscribed."""
        return Mailboxes(self._connection, self.company_id, self._erasure_key)

    @cached_property
    def merges(self) -> Merges:
        """Merged customers, and the rows that move to the survivor."""
        return Merges(self._connection, self.company_id)

    @cached_property
    def personal_data(self) -> PersonalData:
        """Export and erasure of everything stored about one customer."""
        return PersonalData(self._connection, self.company_id)

    @cached_property
    def tombstones(self) -> Tombstones:
        """Tombstones of erased customers."""
        return Tombstones(self._connection, self.company_id, self._erasure_key)

    @cached_property
    def retention(self) -> DataRetention:
        """Deletion of data whose retention period is over."""
        return DataRetention(self._connection, self.company_id)


class DueWorkReader:
    """Read access to due work across companies, in the role of the dispatcher."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.companies = CompanyDirectory(connection)
        self.due_work = DueWork(connection)
        self.health = DatabaseHealth(connection)
        self.imports = DueImports(connection)
        self.jobs = DueJobs(connection)


class CredentialLookup:
    """The lookup of an API key before its company is known."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.api_keys = KeyLookup(connection)
