"""People and what their role lets them do."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """An account of the dashboard. The role decides; Django's groups and permissions are not used."""

    class Role(models.TextChoices):
        ADMIN = "admin", "admin"
        OPERATOR = "operator", "operator"
        TENANT = "tenant", "tenant"
        AUDITOR = "auditor", "auditor"

    role = models.CharField(max_length=10, choices=Role, default=Role.TENANT)

    def save(self, **kwargs: object) -> None:
        if self.is_superuser:
            self.role = self.Role.ADMIN
        super().save(**kwargs)  # type: ignore[arg-type]

    @property
    def runs_the_cloud(self) -> bool:
        """May change hosts, datastores and everybody's images."""
        return self.role in {self.Role.ADMIN, self.Role.OPERATOR}

    @property
    def sees_everything(self) -> bool:
        """May look at every object and job."""
        return self.role != self.Role.TENANT

    @property
    def owns_things(self) -> bool:
        """May register images and make disks."""
        return self.role != self.Role.AUDITOR
