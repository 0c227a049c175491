"""What a transaction gives to a service: the repositories of one company, on one connection."""

from functools import cached_property

from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.errors import UnavailableError
from journey_service.repositories.access.api_keys import ApiKeys, KeyLookup
from journey_service.repositories.access.audit import AuditLog
from journey_service.repositories.access.sessions import BrowserSessions
from journey_service.repositories.access.vault import Vault
from journey_service.repositories.actions.action_plans import ActionPlans
from journey_service.repositories.actions.campaigns import Campaigns
from journey_service.repositories.actions.delivery_log import DeliveryLog
from journey_service.repositories.actions.outbound_events import OutboundEvents
from journey_service.repositories.actions.outbox import Outbox
from journey_service.repositories.actions.tasks import Tasks
from journey_service.repositories.actions.templates import Templates
from journey_service.repositories.actions.webhook_endpoints import WebhookEndpoints
from journey_service.repositories.analytics.distribution import StageDistribution
from journey_service.repositories.analytics.drilldown import DrilldownQueries
from journey_service.repositories.analytics.duration_histograms import VisitDurations
from journey_service.repositories.analytics.ledger_queries import LedgerQueries
from journey_service.repositories.analytics.rollups import Rollups
from journey_service.repositories.analytics.snapshots import Snapshots
from journey_service.repositories.companies.companies import Companies, CompanyDirectory
from journey_service.repositories.customers.consents import Consents
from journey_service.repositories.customers.customer_list import CustomerList
from journey_service.repositories.customers.personal_data import PersonalData
from journey_service.repositories.customers.profiles import Customers
from journey_service.repositories.customers.tombstones import ErasureKey, Tombstones
from journey_service.repositories.events.event_histories import EventHistories
from journey_service.repositories.events.imports import DueImports, Imports
from journey_service.repositories.events.ledger import Events
from journey_service.repositories.journeys.relationships import Relationships
from journey_service.repositories.journeys.scores import Scores
from journey_service.repositories.journeys.transitions import Transitions
from journey_service.repositories.operations.data_quality import DataQualityQueries
from journey_service.repositories.operations.due_work import DueWork
from journey_service.repositories.operations.health import DatabaseHealth
from journey_service.repositories.operations.jobs import DueJobs, Jobs
from journey_service.repositories.operations.reconciliation import ReconciliationQueries
from journey_service.repositories.operations.retention import DataRetention
from journey_service.repositories.stages.stage_maps import StageMaps


class UnitOfWork:
    """One company's transaction. Everything read and written in it is that company's."""

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

    @property
    def vault(self) -> Vault:
        """What seals secrets and signs tokens. Raises UnavailableError where nobody has told its key."""
        if self._vault is None:
            raise UnavailableError(
                "The service was not told JOURNEY_VAULT_KEY; no secret can be kept or used."
            )
        return self._vault

    @cached_property
    def companies(self) -> Companies:
        """The company itself, its stage map and its clock."""
        return Companies(self._connection, self.company_id)

    @cached_property
    def visit_durations(self) -> VisitDurations:
        """How long visits have lasted."""
        return VisitDurations(self._connection, self.company_id)

    @cached_property
    def stage_maps(self) -> StageMaps:
        """The versions of the company's stage map."""
        return StageMaps(self._connection, self.company_id)

    @cached_property
    def customers(self) -> Customers:
        """Profiles."""
        return Customers(self._connection, self.company_id)

    @cached_property
    def relationships(self) -> Relationships:
        """Where customers stand."""
        return Relationships(self._connection, self.company_id)

    @cached_property
    def customer_list(self) -> CustomerList:
        """The list of customers."""
        return CustomerList(self._connection, self.company_id)

    @cached_property
    def transitions(self) -> Transitions:
        """The ledger of moves."""
        return Transitions(self._connection, self.company_id)

    @cached_property
    def action_plans(self) -> ActionPlans:
        """What is still to be done for customers."""
        return ActionPlans(self._connection, self.company_id)

    @cached_property
    def outbox(self) -> Outbox:
        """What is to leave the house."""
        return Outbox(self._connection, self.company_id)

    @cached_property
    def delivery_log(self) -> DeliveryLog:
        """The log of what has left the house."""
        return DeliveryLog(self._connection, self.company_id)

    @cached_property
    def outbound_events(self) -> OutboundEvents:
        """What others are told of."""
        return OutboundEvents(self._connection, self.company_id)

    @cached_property
    def templates(self) -> Templates:
        """Templates the company has written."""
        return Templates(self._connection, self.company_id)

    @cached_property
    def tasks(self) -> Tasks:
        """What people do about customers."""
        return Tasks(self._connection, self.company_id)

    @cached_property
    def campaigns(self) -> Campaigns:
        """Campaigns, running and ended."""
        return Campaigns(self._connection, self.company_id)

    @cached_property
    def webhook_endpoints(self) -> WebhookEndpoints:
        """The company's own systems that take webhooks."""
        return WebhookEndpoints(self._connection, self.company_id, self.vault)

    @cached_property
    def rollups(self) -> Rollups:
        """Sums that figures are answered from."""
        return Rollups(self._connection, self.company_id)

    @cached_property
    def ledger_queries(self) -> LedgerQueries:
        """Figures that no sums are kept for."""
        return LedgerQueries(self._connection, self.company_id)

    @cached_property
    def drilldown(self) -> DrilldownQueries:
        """Who is behind the figures."""
        return DrilldownQueries(self._connection, self.company_id)

    @cached_property
    def snapshots(self) -> Snapshots:
        """Snapshots of days."""
        return Snapshots(self._connection, self.company_id)

    @cached_property
    def reconciliation(self) -> ReconciliationQueries:
        """Figures, compared with each other."""
        return ReconciliationQueries(self._connection, self.company_id)

    @cached_property
    def data_quality(self) -> DataQualityQueries:
        """What is amiss in the company's rows."""
        return DataQualityQueries(self._connection, self.company_id)

    @cached_property
    def events(self) -> Events:
        """The ledger of events."""
        return Events(self._connection, self.company_id)

    @cached_property
    def event_histories(self) -> EventHistories:
        """Customers' pasts, as the ledger of events holds them."""
        return EventHistories(self._connection, self.company_id)

    @cached_property
    def imports(self) -> Imports:
        """Histories being read in."""
        return Imports(self._connection, self.company_id)

    @cached_property
    def jobs(self) -> Jobs:
        """Long work, and the nightly runs."""
        return Jobs(self._connection, self.company_id)

    @cached_property
    def scores(self) -> Scores:
        """Stored scores, set by set."""
        return Scores(self._connection, self.company_id)

    @cached_property
    def distribution(self) -> StageDistribution:
        """Customers by stage."""
        return StageDistribution(self._connection, self.company_id)

    @cached_property
    def api_keys(self) -> ApiKeys:
        """The company's API keys."""
        return ApiKeys(self._connection, self.company_id)

    @cached_property
    def sessions(self) -> BrowserSessions:
        """Browsers that have signed in."""
        return BrowserSessions(self._connection, self.company_id)

    @cached_property
    def audit_log(self) -> AuditLog:
        """Who did what."""
        return AuditLog(self._connection, self.company_id)

    @cached_property
    def consents(self) -> Consents:
        """How consents have changed."""
        return Consents(self._connection, self.company_id)

    @cached_property
    def personal_data(self) -> PersonalData:
        """Everything held on one person."""
        return PersonalData(self._connection, self.company_id)

    @cached_property
    def tombstones(self) -> Tombstones:
        """Customers who were erased."""
        return Tombstones(self._connection, self.company_id, self._erasure_key)

    @cached_property
    def retention(self) -> DataRetention:
        """What is not kept for ever."""
        return DataRetention(self._connection, self.company_id)


class DueWorkReader:
    """What the dispatcher may read across companies: their names, and which work is due."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.companies = CompanyDirectory(connection)
        self.due_work = DueWork(connection)
        self.health = DatabaseHealth(connection)
        self.imports = DueImports(connection)
        self.jobs = DueJobs(connection)


class CredentialLookup:
    """The one look-up made before a company is known."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.api_keys = KeyLookup(connection)
