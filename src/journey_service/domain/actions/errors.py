"""Expected failures of actions, campaigns, tasks, templates, and webhook endpoints."""

from collections.abc import Sequence

from journey_service.domain.errors import ConflictError, JourneyServiceError, NotFoundError, quote_value


class TaskNotFoundError(NotFoundError):
    """No task has this id."""

    code = "task-not-found"
    title = "Task not found"

    def __init__(self, task_id: int) -> None:
        super().__init__(f"No task {task_id}.")


class CampaignNotFoundError(NotFoundError):
    """No campaign has this id."""

    code = "campaign-not-found"
    title = "Campaign not found"

    def __init__(self, campaign_id: int) -> None:
        super().__init__(f"No campaign {campaign_id}.")


class ActionNotFoundError(NotFoundError):
    """No action has this id."""

    code = "action-not-found"
    title = "Action not found"

    def __init__(self, action_id: str) -> None:
        super().__init__(f"No action {quote_value(action_id)}.")


class EndpointNotFoundError(NotFoundError):
    """No webhook endpoint has this id."""

    code = "endpoint-not-found"
    title = "Webhook endpoint not found"

    def __init__(self, endpoint_id: int) -> None:
        super().__init__(f"No webhook endpoint {endpoint_id}.")


class TemplateNotFoundError(NotFoundError):
    """No template of the company has this id."""

    code = "template-not-found"
    title = "Template not found"

    def __init__(self, template_id: int) -> None:
        super().__init__(f"No template {template_id}.")


class LinkNotValidError(NotFoundError):
    """A link that this service has not written."""

    code = "link-not-valid"
    title = "The link is not valid"

    def __init__(self) -> None:
        super().__init__("The link is not complete, or not one of this service.")


class TaskClosedError(ConflictError):
    """A task that is over is to be changed."""

    code = "task-closed"
    title = "The task is closed"

    def __init__(self, task_id: int, status: str) -> None:
        super().__init__(f"Task {task_id} is {status}; nothing was changed.")


class CampaignEndedError(ConflictError):
    """A campaign that has ended is to be ended by hand."""

    code = "campaign-ended"
    title = "The campaign has ended"

    def __init__(self, campaign_id: int, reason: str) -> None:
        super().__init__(f"Campaign {campaign_id} has ended already ({reason}); nothing was changed.")


class ActionNotDeadError(ConflictError):
    """An action is to be tried again that is not dead."""

    code = "action-not-dead"
    title = "The action is not dead"

    def __init__(self, action_id: str, state: str) -> None:
        super().__init__(f"Action {action_id} is {state}: only what is dead is tried again by hand.")


class EndpointTakenError(ConflictError):
    """Two endpoints would act on the same, and a customer would get everything twice."""

    code = "endpoint-taken"
    title = "Another endpoint takes these already"

    def __init__(self, endpoint_id: int, events: Sequence[str]) -> None:
        super().__init__(
            f"Endpoint {endpoint_id} takes {', '.join(events)} already; only one can act on these."
        )


class EndpointDisabledError(ConflictError):
    """Something is to be sent again to an endpoint that takes nothing."""

    code = "endpoint-disabled"
    title = "The endpoint is disabled"

    def __init__(self, endpoint_id: int) -> None:
        super().__init__(f"Endpoint {endpoint_id} is disabled; enable it first, nothing was changed.")


class EndpointInUseError(ConflictError):
    """An endpoint is to be taken away that the log of deliveries names."""

    code = "endpoint-in-use"
    title = "The endpoint is in use"

    def __init__(self, endpoint_id: int) -> None:
        super().__init__(f"The log of deliveries names endpoint {endpoint_id}; disable it instead.")


class TemplateExistsError(ConflictError):
    """There is a template of this key and language, or the key means another channel."""

    code = "template-exists"
    title = "The template exists"

    def __init__(self, key: str, language: str | None) -> None:
        what = "is of another channel" if language is None else f"exists in {language!r} already"
        super().__init__(f"Template {key!r} {what}; nothing was changed.")


class TemplateInUseError(ConflictError):
    """A template is to be taken away without which a stage would have no words."""

    code = "template-in-use"
    title = "The template is in use"

    def __init__(self, key: str, stages: Sequence[str]) -> None:
        super().__init__(f"Template {key!r} is used by the actions of {', '.join(stages)}.")


class StaleActionsError(JourneyServiceError):
    """Somebody changed a stage's actions since they were seen."""

    code = "stale-actions"
    title = "The actions have changed"

    def __init__(self, stage_key: str) -> None:
        super().__init__(
            f"The actions of stage {stage_key!r} are others than those that were seen; read them again."
        )
