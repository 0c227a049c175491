"""Settings: in production, the service does not start with guessable secrets or unsafe values."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError, field_validator

from journey_service.cli import serving
from journey_service.embedded import ServerAddresses
from journey_service.setting_groups import checks
from journey_service.settings import Settings, read_migration_settings, read_settings

PEPPER = "kq0zX7mGv2YtPb5uLr8sWd1eHj4nCi6a"
ERASURE_KEY = "Tf3oBx9wRk6pZl0yUg7vQh2mJc5sNd8e"
VAULT_KEY = "Rb8vNc3yXq6kWt1mJz5hLf9sDg2pQe7u"
SECRET = "Ve1bMn4cXz7lKj0hGf3dSa6pOi9uYt2r"
BOOTSTRAP_KEY = f"jrn_ops_{SECRET}"
GOOD = {
    "DATABASE_URL": "postgresql://journey_login:Wq8eRt2yUi5oPa1s@db.company.com/journey",
    "JOURNEY_KEY_PEPPER": PEPPER,
    "JOURNEY_ERASURE_KEY": ERASURE_KEY,
    "JOURNEY_VAULT_KEY": VAULT_KEY,
    "JOURNEY_BOOTSTRAP_KEY": BOOTSTRAP_KEY,
    "JOURNEY_PUBLIC_URL": "https://journey.company.com/",
    "JOURNEY_CORS_ORIGINS": "https://app.company.com, https://desk.company.com",
}
OIDC = {
    "OIDC_ISSUER": "https://id.company.com",
    "OIDC_AUDIENCE": "journey",
    "OIDC_OPERATOR_AUDIENCE": "journey-operators",
    "OIDC_CLIENT_ID": "journey-pages",
    "OIDC_CLIENT_SECRET": SECRET,
}
MAIL = {
    "SMTP_URL": "smtp://journey:Kd7tYp3wQz9r@mail.company.com",
    "JOURNEY_MAIL_FROM": "Salon Lumière <hello@company.com>",
}
FOLDER = {"JOURNEY_ENVIRONMENT": "development", "JOURNEY_MAIL_FOLDER": "mails"}


SECRETS = (
    "JOURNEY_KEY_PEPPER",
    "JOURNEY_ERASURE_KEY",
    "JOURNEY_VAULT_KEY",
    "JOURNEY_BOOTSTRAP_KEY",
    "OIDC_CLIENT_SECRET",
    "SMTP_URL",
)


def of_database(password):
    return {"DATABASE_URL": f"postgresql://journey_login:{password}@db.company.com/journey"}


def of_mail(url):
    return {"SMTP_URL": url}


GUESSABLE = {
    "A pepper to be replaced": {"JOURNEY_KEY_PEPPER": "change-me-0123456789-abcdefghijkl"},
    "A pepper of the documentation": {"JOURNEY_KEY_PEPPER": "an example of a pepper, 0123456789"},
    "The alphabet": {"JOURNEY_KEY_PEPPER": "abcdefghijklmnopqrstuvwxyzabcdef"},
    "Digits in their order": {"JOURNEY_ERASURE_KEY": "1234567890abcdef1234"},
    "A row of the keyboard": {"JOURNEY_KEY_PEPPER": "qwertyuiopasdfgh"},
    "A few words": {"JOURNEY_KEY_PEPPER": "correct horse battery"},
    "Words that name what it is": {"JOURNEY_ERASURE_KEY": "my-super-secret-key-1"},
    "The alphabet as a bootstrap key": {"JOURNEY_BOOTSTRAP_KEY": "jrn_me_abcdefghijklmnopqrstuvwxyzabcdef"},
    "A password of digits": of_database("1234"),
    "A word in disguise": of_database("Passw0rd"),
    "A word and a digit": of_database("postgres1"),
    "The password of a Redis": {"REDIS_URL": "redis://:redis@10.0.0.1/0"},
    "A pepper of few letters": {"JOURNEY_KEY_PEPPER": "abcabcabcabcabcabcabcabcabcabcabc"},
    "A pepper that is a word": {"JOURNEY_KEY_PEPPER": "PassWord-0123456789-abcdef"},
    "An erasure key to be replaced": {"JOURNEY_ERASURE_KEY": "changeme_0123456789_abcdefghijkl"},
    "An erasure key of few letters": {"JOURNEY_ERASURE_KEY": "0" * 40},
    "A vault key to be replaced": {"JOURNEY_VAULT_KEY": "changeme_0123456789_abcdefghijkl"},
    "A vault key of few letters": {"JOURNEY_VAULT_KEY": "0" * 40},
    "A vault key that is words": {"JOURNEY_VAULT_KEY": "the key to my vault"},
    "A bootstrap key to be replaced": {
        "JOURNEY_BOOTSTRAP_KEY": "jrn_ops_change-me-0123456789-abcdefghijklmno"
    },
    "A bootstrap key of few letters": {"JOURNEY_BOOTSTRAP_KEY": "jrn_ops_" + "a" * 40},
    "One whose id alone is varied": {"JOURNEY_BOOTSTRAP_KEY": "jrn_bcdefghijklm-0123456789_" + "a" * 40},
    "No password": of_database(""),
    "A password that is a word": of_database("password"),
    "That of PostgreSQL": of_database("postgres"),
    "In other letters": of_database("PostGres"),
    "In other signs": of_database("%70ostgres"),
    "Behind the name": {"DATABASE_URL": "postgresql:///journey?host=db&user=login&password=journey"},
}
"""Secrets that can be guessed: the error names the variable, not the secret."""
GUESSABLE_MAIL = {
    "The password of every mail server": of_mail("smtp://journey:password1@mail.company.com"),
    "A password that is the user": of_mail("smtps://journey-mails:journey-mails@mail.company.com"),
    "A password of digits for mails": of_mail("smtp://journey:123456@mail.company.com:2525"),
}
"""URLs of the mail server with well-known passwords."""

EXPOSED = {
    "An address without TLS": {"JOURNEY_PUBLIC_URL": "http://journey.company.com"},
    "Links without TLS": {"JOURNEY_LINKS_URL": "http://journey.company.com"},
    "Every origin": {"JOURNEY_CORS_ORIGINS": "*"},
    "Every origin next to a named one": {"JOURNEY_CORS_ORIGINS": "https://app.company.com,*"},
}
"""Settings that are allowed in development only."""

WRONG = {
    "No pepper": {"JOURNEY_KEY_PEPPER": None},
    "An empty pepper": {"JOURNEY_KEY_PEPPER": ""},
    "A short pepper": {"JOURNEY_KEY_PEPPER": PEPPER[:15]},
    "No erasure key": {"JOURNEY_ERASURE_KEY": None},
    "An empty erasure key": {"JOURNEY_ERASURE_KEY": ""},
    "A short erasure key": {"JOURNEY_ERASURE_KEY": ERASURE_KEY[:15]},
    "One secret for two things": {"JOURNEY_ERASURE_KEY": PEPPER},
    "No vault key": {"JOURNEY_VAULT_KEY": None},
    "An empty vault key": {"JOURNEY_VAULT_KEY": ""},
    "A short vault key": {"JOURNEY_VAULT_KEY": VAULT_KEY[:15]},
    "A vault that opens with the pepper": {"JOURNEY_VAULT_KEY": PEPPER},
    "A vault that opens with the erasure key": {"JOURNEY_VAULT_KEY": f"vault-{ERASURE_KEY}"},
    "No database": {"DATABASE_URL": None},
    "An environment of another name": {"JOURNEY_ENVIRONMENT": "prod"},
    "A bootstrap key without an id": {"JOURNEY_BOOTSTRAP_KEY": SECRET},
    "A bootstrap key of another kind": {"JOURNEY_BOOTSTRAP_KEY": f"key_ops_{SECRET}"},
    "A bootstrap key that is short": {"JOURNEY_BOOTSTRAP_KEY": f"jrn_ops_{SECRET[:31]}"},
    "A public address with a path": {"JOURNEY_PUBLIC_URL": "https://journey.company.com/app"},
    "A public address of another kind": {"JOURNEY_PUBLIC_URL": "ftp://journey.company.com"},
    "Links with a path": {"JOURNEY_LINKS_URL": "https://journey.company.com/app"},
    "A mail server of another kind": {**MAIL, "SMTP_URL": "https://mail.company.com"},
    "A mail server that is none": {**MAIL, "SMTP_URL": "mail.salon.com:587"},
    "A mail server with a path": {**MAIL, "SMTP_URL": "smtp://mail.company.com/inbox"},
    "A user without a password": {**MAIL, "SMTP_URL": "smtp://journey@mail.company.com"},
    "A password without a user": {**MAIL, "SMTP_URL": "smtp://:Kd7tYp3wQz9r@mail.company.com"},
    "A port beyond the last": {**MAIL, "SMTP_URL": "smtp://mail.company.com:65536"},
    "A server that is not to encrypt": {**MAIL, "SMTP_URL": "smtp://mail.company.com?starttls=never"},
    "A password that cuts the address short": {**MAIL, "SMTP_URL": "smtp://u:Kd7t#Yp3w@mail.company.com"},
    "A mail server without a sender": {**MAIL, "JOURNEY_MAIL_FROM": None},
    "A mail server without a way to unsubscribe": {**MAIL, "JOURNEY_PUBLIC_URL": None},
    "A sender that is a name": {"JOURNEY_MAIL_FROM": "Salon Lumière"},
    "A sender with a header of its own": {"JOURNEY_MAIL_FROM": "Salon\nBcc: x@y.com <hello@company.com>"},
    "Two senders": {"JOURNEY_MAIL_FROM": "a@company.com, b@company.com"},
    "An origin with a path": {"JOURNEY_CORS_ORIGINS": "https://app.company.com/"},
    "An origin that is a pattern": {"JOURNEY_CORS_ORIGINS": "https://*.company.com"},
    "No origin": {"JOURNEY_CORS_ORIGINS": "null"},
    "An issuer without an audience": {**OIDC, "OIDC_AUDIENCE": None},
    "An audience without an issuer": {"OIDC_AUDIENCE": "journey"},
    "Operators without an issuer": {"OIDC_OPERATOR_AUDIENCE": "journey-operators"},
    "Keys without an issuer": {"OIDC_JWKS_URL": "https://id.company.com/jwks"},
    "A client without an issuer": {"OIDC_CLIENT_ID": "journey-pages"},
    "A client's secret without a client": {"OIDC_CLIENT_SECRET": SECRET},
    "A client without a way back": {**OIDC, "OIDC_CLIENT_ID": "journey-pages", "JOURNEY_PUBLIC_URL": None},
    "The same audience for operators": {**OIDC, "OIDC_OPERATOR_AUDIENCE": OIDC["OIDC_AUDIENCE"]},
    "A symmetric algorithm": {**OIDC, "OIDC_ALGORITHMS": "HS256"},
    "A symmetric one among others": {**OIDC, "OIDC_ALGORITHMS": "RS256, HS512"},
    "No signature": {**OIDC, "OIDC_ALGORITHMS": "none"},
    "No algorithm": {**OIDC, "OIDC_ALGORITHMS": ","},
    "A map without roles": {"OIDC_ROLE_MAP": "heads"},
    "A map to an unknown role": {"OIDC_ROLE_MAP": "heads=boss"},
    "A map that is no object": {"OIDC_ROLE_MAP": '{"heads": "manager"'},
}
"""Settings that are invalid in every environment."""
INVALID_VARIABLE = {
    "A mail server without a sender": "SMTP_URL",
    "A mail server without a way to unsubscribe": "SMTP_URL",
    "An issuer without an audience": "OIDC_AUDIENCE",
    "A client without a way back": "OIDC_CLIENT_ID",
    "The same audience for operators": "OIDC_OPERATOR_AUDIENCE",
    "A symmetric algorithm": "OIDC_ALGORITHMS",
    "A symmetric one among others": "OIDC_ALGORITHMS",
    "No signature": "OIDC_ALGORITHMS",
    "No algorithm": "OIDC_ALGORITHMS",
}


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch):
    """An environment without any variable of the service."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)


def read(monkeypatch, changed):
    for name, value in {**GOOD, **changed}.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    return read_settings()


def refusal(monkeypatch, changed):
    with pytest.raises(ValidationError) as refused:
        read(monkeypatch, changed)
    return refused.value


def names(error):
    """Returns the invalid variables in upper case; missing ones are reported by the field name."""
    return {str(name).upper() for each in error.errors() for name in each["loc"]}


def test_valid_settings_are_read_and_production_is_the_default(monkeypatch):
    taken = read(monkeypatch, OIDC)

    assert taken.is_production
    assert taken.public_url == "https://journey.company.com"
    assert taken.cors_origins == ("https://app.company.com", "https://desk.company.com")
    assert taken.oidc_algorithms == ("RS256", "ES256")
    assert (taken.oidc_audience_claim, taken.oidc_claims.role_map) == ("aud", None)
    mapped = read(monkeypatch, {"OIDC_ROLE_MAP": "heads=manager"})
    assert mapped.oidc_claims.role_map == {"heads": "manager"}
    assert taken.key_pepper.get_secret_value() == PEPPER


@pytest.mark.parametrize("changed", (GUESSABLE | EXPOSED).values(), ids=GUESSABLE | EXPOSED)
def test_guessable_or_unsafe_settings_are_refused_in_production_only(monkeypatch, changed):
    assert names(refusal(monkeypatch, changed)) == changed.keys()

    taken = read(monkeypatch, {**changed, "JOURNEY_ENVIRONMENT": "development"})

    assert not taken.is_production


@pytest.mark.parametrize("environment", ["production", "development"])
@pytest.mark.parametrize("case", WRONG)
def test_invalid_settings_are_refused_in_every_environment_by_variable_name(monkeypatch, case, environment):
    changed = {"JOURNEY_ENVIRONMENT": environment, **WRONG[case]}

    found = names(refusal(monkeypatch, changed))

    assert found == {INVALID_VARIABLE.get(case, next(iter(WRONG[case])))}


@pytest.mark.parametrize("changed", GUESSABLE_MAIL.values(), ids=GUESSABLE_MAIL)
def test_a_well_known_password_of_the_mail_server_is_refused_in_production(monkeypatch, changed):
    assert names(refusal(monkeypatch, {**MAIL, **changed})) == {"SMTP_URL"}

    assert read(monkeypatch, {**MAIL, **changed, "JOURNEY_ENVIRONMENT": "development"}).mail_url


def test_in_production_emails_use_a_server_and_links_use_the_public_url(monkeypatch):
    taken = read(monkeypatch, MAIL)

    assert taken.mail_url.get_secret_value() == MAIL["SMTP_URL"]
    assert taken.sender == MAIL["JOURNEY_MAIL_FROM"]
    assert taken.links_url == "https://journey.company.com"
    assert read(monkeypatch, {"SMTP_URL": f"smtp://{SECRET}:{SECRET}@mail.company.com"}).mail_url
    assert read(monkeypatch, {"SMTP_URL": "smtp://localhost:25"}).mail_url
    assert (
        read(monkeypatch, {"JOURNEY_LINKS_URL": "https://l.company.com/"}).links_url
        == "https://l.company.com"
    )


def test_in_development_emails_may_go_to_a_folder_without_a_sender(monkeypatch):
    taken = read(
        monkeypatch, {**FOLDER, "JOURNEY_PUBLIC_URL": None, "JOURNEY_LINKS_URL": "http://127.0.0.1:8000"}
    )

    assert taken.mail_folder == Path("mails")
    assert taken.sender == "journey@localhost"
    assert (taken.public_url, taken.links_url) == (None, "http://127.0.0.1:8000")


@pytest.mark.parametrize(
    ("changed", "values"),
    [
        ({"JOURNEY_ENVIRONMENT": "production"}, "SMTP_URL"),
        (MAIL, "SMTP_URL"),
        ({"JOURNEY_PUBLIC_URL": None}, "JOURNEY_PUBLIC_URL: every email contains an unsubscribe link"),
    ],
    ids=["in production", "together with a server", "without a URL for links"],
)
def test_a_folder_for_mails_is_refused(monkeypatch, changed, values):
    error = refusal(monkeypatch, {**FOLDER, **changed})

    assert names(error) == {"JOURNEY_MAIL_FOLDER"}
    assert values in str(error)


def up(monkeypatch, folder, host="127.0.0.1", **variables):
    """The environment that `journey up` passes to its processes, over what is already set."""
    secrets = {"key_pepper": PEPPER, "erasure_key": ERASURE_KEY, "vault_key": VAULT_KEY}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    chosen = serving._environment(ServerAddresses(GOOD["DATABASE_URL"], None, secrets), folder, host, 8000)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    return read_settings()


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("localhost", "http://localhost:8000"),
        ("::", "http://[::1]:8000"),
        ("10.1.2.3", "http://10.1.2.3:8000"),
    ],
)
def test_by_default_the_service_writes_emails_into_its_folder_with_links_to_itself(
    monkeypatch, tmp_path, host, address
):
    taken = up(monkeypatch, tmp_path, host)

    assert (taken.mail_url, taken.mail_folder) == (None, tmp_path / "mail")
    assert taken.links_url == address
    assert taken.public_url is None, "browsers may find it by any name of this machine"
    assert taken.vault_key.get_secret_value() == VAULT_KEY


def test_started_with_a_mail_server_and_an_address_the_service_uses_them(monkeypatch, tmp_path):
    public = "https://journey.company.com"
    taken = up(monkeypatch, tmp_path, JOURNEY_PUBLIC_URL=public, **MAIL)

    assert taken.mail_folder is None
    assert (taken.mail_url.get_secret_value(), taken.links_url) == (MAIL["SMTP_URL"], public)


def test_started_as_production_the_service_writes_no_mails_into_folders(monkeypatch, tmp_path):
    taken = up(monkeypatch, tmp_path, JOURNEY_ENVIRONMENT="production")

    assert taken.is_production
    assert (taken.mail_url, taken.mail_folder, taken.links_url) == (None, None, None)


@pytest.mark.parametrize("changed", (GUESSABLE | WRONG).values(), ids=GUESSABLE | WRONG)
def test_errors_contain_no_secret(monkeypatch, changed):
    error = refusal(monkeypatch, changed)
    given = {**GOOD, **changed}
    secrets = {given[name] for name in ("DATABASE_URL", *SECRETS) if given.get(name)}
    secrets |= {secret.split("_", 2)[2] for secret in secrets if secret.startswith("jrn_")}

    for values in (str(error), repr(error), *(each["msg"] for each in error.errors())):
        assert not [secret for secret in secrets if secret in values], values


def test_settings_do_not_show_secrets(monkeypatch):
    taken = read(monkeypatch, {**OIDC, **MAIL})

    for shown in (repr(taken), str(taken), taken.model_dump_json()):
        for secret in (PEPPER, ERASURE_KEY, VAULT_KEY, SECRET, GOOD["DATABASE_URL"], MAIL["SMTP_URL"]):
            assert secret not in shown


def test_several_errors_are_reported_at_once(monkeypatch):
    error = refusal(
        monkeypatch, {**WRONG["No pepper"], **EXPOSED["Every origin"], **OIDC, "OIDC_AUDIENCE": None}
    )

    assert names(error) >= {"JOURNEY_KEY_PEPPER", "JOURNEY_CORS_ORIGINS", "OIDC_AUDIENCE"}


def replaced_checks(kind):
    """Names of checks that a class replaces: pydantic runs only the last of those with the same name."""
    names = [
        name
        for group in kind.__mro__
        for name in group.__dict__
        if name in kind.__pydantic_decorators__.field_validators
    ]
    return {name for name in names if names.count(name) > 1}


def test_no_group_replaces_a_check_of_another():
    assert not replaced_checks(Settings)

    class Replacing(Settings):
        @field_validator("metrics_token")
        @classmethod
        def _check_strength(cls, value):
            return value

    assert replaced_checks(Replacing) == {"_check_strength"}


def test_a_check_that_accepts_every_secret_is_detected(monkeypatch):
    monkeypatch.setattr(checks, "is_guessable", lambda _: False)

    with pytest.raises(pytest.fail.Exception):
        refusal(monkeypatch, GUESSABLE["A pepper of few letters"])
    print("guard removed: detected")


@pytest.mark.parametrize(
    "changed",
    [GUESSABLE["A pepper to be replaced"], WRONG["One secret for two things"]],
    ids=["guessable", "the same twice"],
)
def test_the_service_ends_with_a_sentence_and_a_status(changed):
    environment = {**os.environ, **GOOD, **changed}

    done = subprocess.run(
        [sys.executable, "-m", "journey_service.cli", "api", "--port", "0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    [(name, secret)] = changed.items()
    assert done.returncode == 1, done.stderr
    assert name in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize("secret", ["JOURNEY_BOOTSTRAP_KEY", "OIDC_CLIENT_SECRET"])
@pytest.mark.parametrize("other", ["JOURNEY_KEY_PEPPER", "JOURNEY_ERASURE_KEY", "JOURNEY_VAULT_KEY"])
def test_secrets_must_differ(monkeypatch, secret, other):
    twice = "Zq7Lw2Xe9RmT4cV8nB1kHs5YpD3uJf6A"
    given = f"jrn_ops_{twice}" if secret == "JOURNEY_BOOTSTRAP_KEY" else twice

    assert names(refusal(monkeypatch, {**OIDC, other: twice, secret: given})) == {secret}


@pytest.mark.parametrize("audience", ["OIDC_AUDIENCE", "OIDC_OPERATOR_AUDIENCE"])
def test_the_client_id_must_not_be_an_api_audience(monkeypatch, audience):
    assert names(refusal(monkeypatch, {**OIDC, audience: OIDC["OIDC_CLIENT_ID"]})) == {"OIDC_CLIENT_ID"}


@pytest.mark.parametrize("variable", ["DATABASE_URL", "MIGRATION_DATABASE_URL"])
def test_migrating_in_production_accepts_no_well_known_password_either(monkeypatch, variable):
    monkeypatch.setenv("DATABASE_URL", GOOD["DATABASE_URL"])
    monkeypatch.setenv(variable, "postgresql://owner:postgres1@db.company.com/journey")
    monkeypatch.delenv("JOURNEY_ENVIRONMENT", raising=False)

    with pytest.raises(ValidationError, match="well-known password"):
        read_migration_settings()

    monkeypatch.setenv("JOURNEY_ENVIRONMENT", "development")
    assert read_migration_settings().url
