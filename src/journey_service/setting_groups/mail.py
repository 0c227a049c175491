"""Settings of emails: sender, and mail server or folder."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from journey_service.gateways.smtp import read_sender, read_server
from journey_service.setting_groups.checks import input_errors, is_in_production
from journey_service.setting_groups.core import CoreSettings
from journey_service.setting_groups.secret_strength import has_weak_login


class MailSettings(CoreSettings):
    """How emails are sent."""

    mail_from: str | None = Field(default=None, validation_alias="JOURNEY_MAIL_FROM")
    """Sender of emails, `Salon <hello@salon.com>` or an address. Default: none; SMTP_URL requires it."""

    mail_url: SecretStr | None = Field(default=None, validation_alias="SMTP_URL")
    """URL of the mail server, `smtp://user:password@mail.company.com:587` or `smtps://`. Default: none; no emails."""

    mail_folder: Path | None = Field(default=None, validation_alias="JOURNEY_MAIL_FOLDER")
    """Folder to which emails are written instead of being sent; development only. Default: none."""

    @property
    def has_mailer(self) -> bool:
        """Whether emails are sent, or written to a folder."""
        return self.mail_url is not None or self.mail_folder is not None

    @property
    def sender(self) -> str:
        """Sender of emails; `journey@localhost` if JOURNEY_MAIL_FROM is not set and emails are written to a folder."""
        return self.mail_from or "journey@localhost"

    @field_validator("mail_from")
    @classmethod
    def _is_a_sender(cls, value: str | None) -> str | None:
        with input_errors():
            if value is not None:
                read_sender(value)
        return value

    @field_validator("mail_url")
    @classmethod
    def _is_a_server(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None:
            return None
        with input_errors():
            server = read_server(value.get_secret_value())
        if info.data.get("mail_from", "") is None:
            raise ValueError("requires JOURNEY_MAIL_FROM, the sender of emails")
        is_weak = server.password is not None and has_weak_login(server.user or "", server.password)
        if is_weak and is_in_production(info):
            raise ValueError("has a well-known password")
        return value

    @field_validator("mail_folder")
    @classmethod
    def _is_for_development(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and is_in_production(info):
            raise ValueError("is refused in production: set SMTP_URL instead")
        if value is not None and info.data.get("mail_url") is not None:
            raise ValueError("is refused together with SMTP_URL: set only one of the two")
        return value

    @field_validator("mail_url", "mail_folder")
    @classmethod
    def _check_unsubscribe_url(cls, value: object, info: ValidationInfo) -> object:
        lacks_url = "public_url" in info.data and info.data.get("links_url", "") is None
        if value is not None and lacks_url:
            raise ValueError("requires JOURNEY_PUBLIC_URL: every email contains an unsubscribe link to it")
        return value
