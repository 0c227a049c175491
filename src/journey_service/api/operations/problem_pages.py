"""Pages of problem types: what each means and what to do. The `type` of every problem is the path of its page."""

import html
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, NamedTuple

import orjson
from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from journey_service.api.html_pages import page
from journey_service.api.operations.problem_kinds import all_kinds

router = APIRouter(prefix="/problems", include_in_schema=False)


class ProblemGuide(NamedTuple):
    """Explanation of a problem type."""

    meaning: str
    action: str


_READ_AGAIN: Final = "Read it again, apply the change to what you read, and send it with the new If-Match."
_CHECK_ID: Final = "Check the id, and that the credential belongs to the right company."

GUIDES: Final[Mapping[str, ProblemGuide]] = MappingProxyType(
    {
        "action-not-dead": ProblemGuide(
            "Only actions that failed permanently can be retried manually.",
            "Read the action to see its state. Pending actions are retried automatically.",
        ),
        "action-not-found": ProblemGuide("The company has no action with this id.", _CHECK_ID),
        "rollout-pending": ProblemGuide(
            "Customers are still being moved to a newer version of the stage map, some of them perhaps into the stage"
            " to be archived.",
            "Wait until the job of the newer version has ended, or name in `remap_to` the stage that its customers"
            " move to.",
        ),
        "already-in-stage": ProblemGuide(
            "The manual move names the stage in which the customer already is.",
            "Nothing to do. Read the journey to see the current stage.",
        ),
        "bad-request": ProblemGuide(
            "The request is not valid HTTP, its body is incomplete, or it has several Authorization headers.",
            "Correct the request and send it again.",
        ),
        "campaign-ended": ProblemGuide(
            "The campaign has already ended for another reason, so it cannot be cancelled.",
            "Read the campaign to see when and why it ended. Cancelling a cancelled campaign changes nothing; one that"
            " ended for another reason is answered with 409.",
        ),
        "campaign-not-found": ProblemGuide("The company has no campaign with this id.", _CHECK_ID),
        "company-exists": ProblemGuide(
            "A company with this id exists.", "Omit the id to have one assigned, or choose another one."
        ),
        "company-not-found": ProblemGuide(
            "No company has this id, or the credential may not see it.",
            "Check the id in the path or in the X-Company-Id header.",
        ),
        "content-too-large": ProblemGuide(
            "The body is too long. The limits are 256 KiB, 5 MiB for a batch of events, 16 GiB for an import.",
            "Send less at once: split a batch, or use an import.",
        ),
        "customer-erased": ProblemGuide(
            "The personal data of this customer was erased permanently; the id accepts no more changes.",
            "Use a new id if the person becomes a customer again.",
        ),
        "customer-merged": ProblemGuide(
            "The customer to be merged was merged into another one before; `merged_into` is the survivor.",
            "Nothing is left to do, or merge the survivor.",
        ),
        "customer-not-found": ProblemGuide(
            "The company has no customer with this id.",
            "Check the id. The first event or the first profile creates a customer.",
        ),
        "endpoint-disabled": ProblemGuide(
            "The webhook endpoint is disabled and receives no messages.",
            "Enable the endpoint, then repeat the request.",
        ),
        "endpoint-in-use": ProblemGuide(
            "The delivery log refers to the webhook endpoint, so it cannot be deleted.",
            "Disable the endpoint instead.",
        ),
        "endpoint-not-found": ProblemGuide("The company has no webhook endpoint with this id.", _CHECK_ID),
        "event-type-conflict": ProblemGuide(
            "Another enabled endpoint already receives these `action...` types. With two endpoints, customers would"
            " receive every message twice.",
            "Remove the types from the other endpoint first, or disable it.",
        ),
        "event-id-reused": ProblemGuide(
            "An event with this source and id was stored before, with other content. Events never change.",
            "Send a new event with a new id. To repeat an event, send exactly the same content.",
        ),
        "forbidden": ProblemGuide(
            "The credential is valid but does not permit the request: it lacks a scope, it belongs to another company,"
            " or the request of a browser comes from another origin.",
            "Use a credential with the scope that the operation requires. Operators set X-Company-Id.",
        ),
        "idempotency-key-in-use": ProblemGuide(
            "An earlier request with this Idempotency-Key has not ended, or its response is not stored.",
            "Repeat the request shortly. If the problem stays, the earlier request was carried out: read what it has"
            " changed.",
        ),
        "idempotency-key-reused": ProblemGuide(
            "The Idempotency-Key was used for a different request.", "Use a new key for each new request."
        ),
        "too-many-imports": ProblemGuide(
            "The company has as many unfinished imports as it may have.",
            "Wait until an import has ended: GET /imports lists them.",
        ),
        "import-not-found": ProblemGuide("The company has no import with this id.", _CHECK_ID),
        "internal-error": ProblemGuide(
            "An unexpected error occurred; it was logged.",
            "Repeat the request later. When you report the error, quote the X-Request-Id header.",
        ),
        "invalid-input": ProblemGuide(
            "The input is not as the contract requires. `errors` lists each error with its pointer, a sentence, a code"
            " and the values of the broken rule.",
            "Correct every error in the list and send the request again. Nothing was changed.",
        ),
        "job-not-found": ProblemGuide(
            "The company has no job with this id, or it is older than the retention period.", _CHECK_ID
        ),
        "key-not-found": ProblemGuide("The company has no API key with this id.", _CHECK_ID),
        "invalid-link": ProblemGuide(
            "The link is incomplete, or this service did not create it.",
            "Open the link from the email again, complete and unchanged.",
        ),
        "malformed": ProblemGuide(
            "The body could not be read: it is not valid JSON, CSV or gzip. `offset` is the byte at which reading"
            " stopped, where it is known.",
            "Correct the body and send it again. Nothing was changed.",
        ),
        "map-version-not-found": ProblemGuide(
            "The stage map has no version with this number.", "List the versions of the stage map."
        ),
        "merge-with-itself": ProblemGuide(
            "Both ids of the merge lead to the same customer.",
            "Name two different customers.",
        ),
        "method-not-allowed": ProblemGuide(
            "The path exists but does not support this method.", "Use a method from the Allow header."
        ),
        "journey-not-started": ProblemGuide(
            "The journey of the customer began after the time that was requested.",
            "Request a later time. The first transition shows when the journey began.",
        ),
        "currency-in-use": ProblemGuide(
            "The company has amounts in its currency, or an import that is not finished.",
            "Create another company with the right currency, and send the events again there.",
        ),
        "no-test-clock": ProblemGuide(
            "The company runs in real time: only companies created with a test clock can be advanced.",
            "Create a company with `test_clock`.",
        ),
        "not-found": ProblemGuide(
            "There is no resource at this path.", "Compare the path with the documentation."
        ),
        "not-pinned": ProblemGuide(
            "The customer has no pin to remove.", "Nothing to do. Read the journey to see its state."
        ),
        "precondition-required": ProblemGuide(
            "The request does not state the version that the change is based on.",
            "Read the resource and send its version as If-Match. A draft of the stage map may state it as `version`.",
        ),
        "rate-limited": ProblemGuide(
            "The credential, its company or the client's address has used up a rate limit; `RateLimit-Policy` lists the"
            " limits.",
            "Wait for the seconds in Retry-After, then send the request again. Nothing was changed.",
        ),
        "rotation-in-progress": ProblemGuide(
            "The API key is being replaced: two keys are valid already.",
            "Revoke one of the two keys, then rotate the other one.",
        ),
        "stage-archived": ProblemGuide(
            "The stage is archived and cannot be changed. Archiving is permanent.", "Choose another stage."
        ),
        "stage-inactive": ProblemGuide(
            "The stage is archived, so customers cannot be moved into it. Archiving is permanent.",
            "Choose an active stage.",
        ),
        "stage-not-found": ProblemGuide(
            "The stage map has no stage with this key.", "Read the stage map to see the keys of its stages."
        ),
        "stage-in-use": ProblemGuide(
            "Customers are in the stage to be archived; `customers` counts them.",
            "Name in `remap_to` the stage that they move to.",
        ),
        "stale-actions": ProblemGuide("The actions have changed since you read them.", _READ_AGAIN),
        "stale-map": ProblemGuide("The stage map has changed since you read it.", _READ_AGAIN),
        "stale-settings": ProblemGuide("The settings have changed since you read them.", _READ_AGAIN),
        "stale-task": ProblemGuide(
            "The task has changed since you read it; `changed` holds what is different now.", _READ_AGAIN
        ),
        "stale-version": ProblemGuide("The journey has changed since you read it.", _READ_AGAIN),
        "task-closed": ProblemGuide(
            "The task is done, dismissed or closed, and cannot be changed.",
            "Read the task to see its status. Reopen a task that a person has ended with the status `open`, or create a"
            " new one.",
        ),
        "task-not-found": ProblemGuide("The company has no task with this id.", _CHECK_ID),
        "template-exists": ProblemGuide(
            "A template with this key and language exists, or the key belongs to another channel.",
            "Replace the existing template, or choose another key or language.",
        ),
        "template-in-use": ProblemGuide(
            "Actions of stages use the template, so it cannot be deleted.",
            "Remove the template from these actions first.",
        ),
        "template-not-found": ProblemGuide("The company has no template with this id.", _CHECK_ID),
        "unauthenticated": ProblemGuide(
            "The request has no credential, or one that is unknown, expired or revoked.",
            "Send a valid API key or access token as `Authorization: Bearer`, or sign in again.",
        ),
        "source-not-found": ProblemGuide("The company has no source with this id.", _CHECK_ID),
        "database-full": ProblemGuide(
            "The disk of the database is full. Reading works; nothing was changed.",
            "Repeat the request, with the same Idempotency-Key or event id, after the seconds in Retry-After."
            " Operators: free space on the disk of PostgreSQL. The service recovers without a restart.",
        ),
        "database-read-only": ProblemGuide(
            "The database accepts no writes: it is a standby, or an operator has made it read-only. Reading works;"
            " nothing was changed.",
            "Repeat the request, with the same Idempotency-Key or event id, after the seconds in Retry-After."
            " Operators: check that DATABASE_URL names the primary, and `default_transaction_read_only`.",
        ),
        "unavailable": ProblemGuide(
            "The service is temporarily unavailable, for example because the database is unreachable or busy.",
            "Wait for the number of seconds in the Retry-After header, then repeat the request. Events, and requests"
            " with an Idempotency-Key, have no second effect when they are repeated.",
        ),
        "unsupported-content-encoding": ProblemGuide(
            "The Content-Encoding header names a compression that the service does not read.",
            "Send the body as it is, without the header, or compressed once with gzip.",
        ),
        "unsupported-media-type": ProblemGuide(
            "The operation does not accept the Content-Type of the body.", "Send JSON as application/json."
        ),
    }
)
"""The explanation of every problem type, by its code."""


@router.get("/{code}")
async def get_problem_page(request: Request, code: str) -> Response:
    """Returns the explanation of a problem type as a page or, if only JSON is accepted, as JSON."""
    example, guide = all_kinds().get(code), GUIDES.get(code)
    if example is None or guide is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if "json" in request.headers.get("accept", "") and "text/html" not in request.headers.get("accept", ""):
        fields = {name: example[name] for name in ("type", "title", "status")}
        return Response(orjson.dumps({**fields, **guide._asdict()}), media_type="application/json")
    paragraphs = "".join(
        f"<p><strong>{label}.</strong> {html.escape(text)}</p>"
        for label, text in (("Meaning", guide.meaning), ("What to do", guide.action))
    )
    return page(
        example["title"],
        example["title"],
        f"<p>Status {example['status']} · <code>{code}</code></p>{paragraphs}",
    )
