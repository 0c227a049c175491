"""Errors of actions, campaigns, tasks, templates and webhook endpoints."""

from collections.abc import Mapping, Sequence

from journey_service.domain.errors import ConflictError, JourneyServiceError, NotFoundError, quote_value


class TaskNotFoundError(NotFoundError):
    """No task has this id."""

    code = "task-not-found"
    title = "Task not found"

    def __init__(self, task_id: int) -> None:
        super().__init__(f"There is no task {task_id}.")


class CampaignNotFoundError(NotFoundError):
    """No campaign has this id."""

    code = "campaign-not-found"
    title = "Campaign not found"

    def __init__(self, campaign_id: int) -> None:
        super().__init__(f"There is no campaign {campaign_id}.")


class ActionNotFoundError(NotFoundError):
    """No action has this id."""

    code = "action-not-found"
    title = "Action not found"

    def __init__(self, action_id: str) -> None:
        super().__init__(f"There is no action {quote_value(action_id)}.")


class EndpointNotFoundError(NotFoundError):
    """No webhook endpoint has this id."""

    code = "endpoint-not-found"
    title = "Webhook endpoint not found"

    def __init__(self, endpoint_id: int) -> None:
        super().__init__(f"There is no webhook endpoint {endpoint_id}.")


class TemplateNotFoundError(NotFoundError):
    """No template of the company has this id."""

    code = "template-not-found"
    title = "Template not found"

    def __init__(self, template_id: int) -> None:
        super().__init__(f"There is no template {template_id}.")


class InvalidLinkError(NotFoundError):
    """The link was not created by this service, or is incomplete."""

    code = "invalid-link"
    title = "The link is not valid"

    def __init__(self) -> None:
        super().__init__("The link is incomplete or not valid. Open it from the email as it is.")


class TaskClosedError(ConflictError):
    """The task to be changed is closed."""

    code = "task-closed"
    title = "The task is closed"

    def __init__(self, task_id: int, status: str) -> None:
        super().__init__(f"Task {task_id} is {status} and cannot be changed.")


class StaleTaskError(JourneyServiceError):
    """The task has changed since the caller read it.

    `changed` holds the current values of the fields that changed after the caller's version.
    """

    code = "stale-task"
    title = "The task has changed"

    def __init__(self, current: int, changed: Mapping[str, object]) -> None:
        fields = f" ({', '.join(changed)})" if changed else ""
        super().__init__(
            f"The task has changed since you read it{fields} and is at version {current} now; read it again."
        )
        self.current = current
        self.changed = changed

    def context(self) -> Mapping[str, object]:
        """Returns the version that would have been accepted, and what has changed."""
        return {"current_version": self.current, "changed": self.changed}


class CampaignEndedError(ConflictError):
    """The campaign to be ended has already ended."""

    code = "campaign-ended"
    title = "The campaign has ended"

    def __init__(self, campaign_id: int, reason: str) -> None:
        super().__init__(f"Campaign {campaign_id} has already ended ({reason}).")


class ActionNotDeadError(ConflictError):
    """The action to be retried is neither dead nor cancelled for want of an address."""

    code = "action-not-dead"
    title = "The action is not dead"

    def __init__(self, action_id: str, state: str) -> None:
        super().__init__(
            f"Action {action_id} is {state}; only a dead action, or one of a stage that was cancelled because the"
            " customer had no address, can be retried."
        )


class EventTypeConflictError(ConflictError):
    """Another endpoint already receives these actions; with two, each would be carried out twice."""

    code = "event-type-conflict"
    title = "Another endpoint already receives these events"

    def __init__(self, endpoint_id: int, events: Sequence[str]) -> None:
        super().__init__(
            f"Endpoint {endpoint_id} already receives {', '.join(events)};"
            " only one enabled endpoint can receive an action type."
        )


class EndpointDisabledError(ConflictError):
    """The endpoint of the message to be sent again is disabled."""

    code = "endpoint-disabled"
    title = "The endpoint is disabled"

    def __init__(self, endpoint_id: int) -> None:
        super().__init__(f"Endpoint {endpoint_id} is disabled. Enable it first.")


class EndpointInUseError(ConflictError):
    """The endpoint to be deleted is referenced by the delivery log."""

    code = "endpoint-in-use"
    title = "The endpoint is in use"

    def __init__(self, endpoint_id: int) -> None:
        super().__init__(
            f"The delivery log refers to endpoint {endpoint_id}. Disable it instead of deleting it."
        )


class TemplateExistsError(ConflictError):
    """A template with this key and language exists, or the key belongs to another channel."""

    code = "template-exists"
    title = "The template already exists"

    def __init__(self, key: str, language: str | None) -> None:
        problem = "belongs to another channel" if language is None else f"already exists in {language!r}"
        super().__init__(f"Template {key!r} {problem}.")


class TemplateInUseError(ConflictError):
    """The template to be deleted is used by the actions of a stage."""

    code = "template-in-use"
    title = "The template is in use"

    def __init__(self, key: str, stages: Sequence[str]) -> None:
        super().__init__(
            f"Template {key!r} is used by the actions of {', '.join(stages)}. Change these actions first."
        )


class StaleActionsError(JourneyServiceError):
    """The actions of the stage have changed since the caller read them."""

    code = "stale-actions"
    title = "The actions have changed"

    def __init__(self, stage_key: str) -> None:
        super().__init__(
            f"The actions of stage {stage_key!r} have changed since you read them. Read them again."
        )
