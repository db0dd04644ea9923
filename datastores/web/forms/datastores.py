"""A new datastore. The options of a kind come from its driver, as a dataclass; here they become fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from django import forms
from django.http import QueryDict

from datastores.domain import values
from datastores.domain.errors import BadInput
from datastores.domain.export_checks import Severity
from datastores.domain.gluster import brick_path
from datastores.domain.gluster_checks import Finding
from datastores.drivers.base import StorageDriver
from datastores.drivers.registry import DRIVERS
from datastores.drivers.ssh import SshOptions
from datastores.models import Cluster, Datastore, Host
from datastores.services.bricks import findings, named
from datastores.services.caching import keeps_copies
from datastores.web.forms.base import ChangeForm, CheckedField, Form, LinesField, NameField, checked, dress
from datastores.web.forms.refusals import taken, wrong_options, wrong_place

TYPES = (
    (Datastore.Type.IMAGE, "Images: masters from which VM disks are made"),
    (Datastore.Type.SYSTEM, "System: disks of running VMs, no images"),
    (Datastore.Type.FILE, "Files: kernels, RAM disks, context"),
)


def option_field(field: dataclasses.Field[Any]) -> forms.Field:
    """Return a form field for one option of a kind; its type is that of the default."""
    default = field.default
    words = {
        "label": field.metadata.get("label", field.name.replace("_", " ").capitalize()),
        "help_text": field.metadata.get("help", ""),
        "initial": default,
        "required": False,
    }
    if isinstance(default, bool):
        return forms.BooleanField(**words)
    if isinstance(default, StrEnum):
        return forms.ChoiceField(choices=[(choice.value, choice.value) for choice in type(default)], **words)
    if isinstance(default, int):
        return forms.IntegerField(**words)
    return forms.CharField(max_length=1024, **words)


def brick_line(value: str) -> str:
    """Return a line that names a brick, such as ``kvm1:/srv/disk1/brick``."""
    host, colon, path = value.partition(":")
    if not colon:
        raise BadInput(f"{value[:60]!r} is no brick: a host and a path with a colon between, such as h1:/srv/a/brick.")
    return f"{values.object_name(host)}:{brick_path(path)}"


def bricks_field() -> LinesField:
    return LinesField(
        brick_line, label="Bricks",
        help_text="One a line, such as h1:/srv/disk1/brick: a directory to be made on a disk of its own. Sets are "
        "neighbours, and each brick of a set is on another host.",
    )  # fmt: skip


DECIDES = "data-decides"
"""Marks the field of an option that others depend on: when it changes, the options are asked for anew."""


class OptionsForm(Form):
    """The options of one kind. Cleaned, it holds only what differs from the driver's defaults.

    What has no meaning with the other options that are chosen (``words`` in drivers/files.py) is not asked for.
    """

    def __init__(self, driver: type[StorageDriver], *args: Any, **kwargs: Any) -> None:
        self.driver, self.defaults = driver, {}
        super().__init__(*args, prefix=f"options-{driver.kind}", **kwargs)
        if driver.has_bricks:
            self.fields["bricks"] = bricks_field()
            dress(self.fields["bricks"])
        for field in dataclasses.fields(driver.Options):
            self.fields[field.name] = option_field(field)
            self.defaults[field.name] = field.default
            dress(self.fields[field.name])
        if driver.key_label:
            self.fields["secret"] = key_field(driver)
            dress(self.fields["secret"])
        self.order_fields(["bricks", "layout"])
        self._leave_out()

    @classmethod
    def anew(cls, driver: type[StorageDriver], given: QueryDict) -> OptionsForm:
        """Return the form with what a person has given in it so far, and defaults for what was not asked before."""
        values = given.copy()
        for field in dataclasses.fields(driver.Options):
            if not isinstance(field.default, bool):
                values.setdefault(f"options-{driver.kind}-{field.name}", field.default)
        return cls(driver, data=values)

    def _leave_out(self) -> None:
        for field in dataclasses.fields(self.driver.Options):
            if when := field.metadata.get("when"):
                decider, values = when
                self.fields[decider].widget.attrs[DECIDES] = "true"
                shown = self[decider].value()
                if shown not in values and str(shown) not in map(str, values):
                    del self.fields[field.name]

    def options(self) -> dict[str, Any]:
        """Return the options as JSON data. An emptied text or number means the default."""
        given = {
            name: value for name, value in self.cleaned_data.items()
            if name in self.defaults and value is not None and (value != "" or self.defaults[name] == "")
        }  # fmt: skip
        return {name: value for name, value in given.items() if value != self.defaults[name]}


def key_field(driver: type[StorageDriver]) -> forms.Field:
    """Return the field of the secret that a kind needs. What is typed is never shown again."""
    return forms.CharField(
        max_length=1024, required=False, label=driver.key_label, help_text=driver.key_help,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )  # fmt: skip


def sources_field() -> LinesField:
    return LinesField(
        values.source_directory, required=False, label="Source directories",
        help_text="Directories on the storage host from which images may be registered, one a line. "
        "Empty: those of the installation.",
    )  # fmt: skip


class DatastoreForm(Form):
    kind = forms.ChoiceField(choices=())
    name = NameField()
    type = forms.ChoiceField(choices=TYPES, initial=Datastore.Type.IMAGE)
    base = CheckedField(
        values.base_path, label="Base path", mono=True,
        help_text="A directory of its own, at the same place on every host, such as /srv/images.",
    )  # fmt: skip
    storage_host = forms.ModelChoiceField(
        Host.objects.none(), help_text="Where the bytes are. Commands on images and disks run there."
    )
    other_hosts = forms.ModelMultipleChoiceField(
        Host.objects.none(), required=False, widget=forms.CheckboxSelectMultiple, label="Other hosts",
        help_text="Hypervisors that use it at the same path.",
    )  # fmt: skip
    cluster = forms.ModelChoiceField(Cluster.objects.all(), required=False)
    source_directories = sources_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [(kind, driver.label) for kind, driver in DRIVERS.items()]  # type: ignore[attr-defined]
        for name in ("storage_host", "other_hosts"):
            self.fields[name].queryset = Host.objects.usable().order_by("name")  # type: ignore[attr-defined]
        self.driver = DRIVERS.get(self["kind"].value() or "") or next(iter(DRIVERS.values()))
        self.options = OptionsForm(self.driver, data=self.data if self.is_bound else None)

    def is_valid(self) -> bool:
        own = super().is_valid()
        return self.options.is_valid() and own

    def clean(self) -> dict[str, Any]:
        """Say all that is wrong; a plan is refused for the first of it alone."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if "name" in data and (refusal := taken(data["name"])):
            self.add_error("name", refusal)
        if not self.options.is_valid():
            return data
        options = self.options.options()
        refusals = list(wrong_options(self.driver, options))
        if not refusals and data.get("base") and data.get("storage_host"):
            others = [host for host in data.get("other_hosts") or () if host != data["storage_host"]]
            refusals += wrong_place(self.driver, data["base"], [data["storage_host"], *others], options)
        for refusal in refusals:
            self.add_error(None, refusal)
        return data

    def bricks(self, hosts: Iterable[Host]) -> list[dict[str, Any]]:
        """Return the bricks that were named, of these hosts. Raises BadInput for one of another."""
        keys = {host.name: host.pk for host in hosts}
        found = []
        for host, _, path in (line.partition(":") for line in self.options.cleaned_data.get("bricks", ())):
            if host not in keys:
                raise BadInput(f"{host} is not among the hosts of the datastore. Choose it there, too.")
            found.append({"host": keys[host], "path": path})
        return found

    def brick_findings(self) -> list[Finding]:
        """Return what is to be said of the bricks, as far as the form is filled in."""
        if not self.driver.has_bricks or not self.is_bound:
            return []
        self.is_valid()
        storage, others = self.cleaned_data.get("storage_host"), self.cleaned_data.get("other_hosts") or ()
        if not self.options["bricks"].value():
            return []
        if wrong := self.options.errors.get("bricks"):
            return [Finding("input", Severity.BAD, text) for text in wrong]
        if storage is None:
            return []
        try:
            options = self.driver.Options(**self.options.options())
            wanted = named(self.bricks([storage, *others]), [storage, *others])
            return findings(options.placed(), storage, wanted, forced=options.forced)
        except BadInput as error:
            return [Finding("input", Severity.BAD, str(error))]

    def params(self) -> dict[str, Any]:
        """Return the parameters of the job. Raises BadInput for a brick of no host of it."""
        data = self.cleaned_data
        storage: Host = data["storage_host"]
        bricks = self.bricks([storage, *data["other_hosts"]])
        others = [host.pk for host in data["other_hosts"] if host != storage]
        return {
            **{name: data[name] for name in ("name", "kind", "type", "base", "source_directories")},
            "hosts": [storage.pk, *others],
            "cluster": data["cluster"].pk if data["cluster"] else None,
            "options": self.options.options(),
            "secret": self.options.cleaned_data.get("secret", ""),
            **({"bricks": bricks} if self.driver.has_bricks else {}),
        }


def cache_limit(value: str) -> str:
    """Return a number of bytes as it was written. Raises BadInput for none."""
    values.parse_size(value)
    return value


NEW_KEY = "Empty: as it is. Hosts keep the old one until you repair what the scan for drift finds of their files."


class DatastoreChangeForm(ChangeForm):
    """What may be changed of a datastore without touching a host."""

    name = NameField()
    source_directories = sources_field()

    class Meta:
        model = Datastore
        fields = ("name", "cluster", "source_directories")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["source_directories"] = "\n".join(self.instance.source_directories)
        self.driver = DRIVERS[self.instance.kind]
        if keeps_copies(self.instance):
            now = self.instance.options.get("cache_limit", SshOptions().cache_limit)
            self.fields["cache_limit"] = CheckedField(
                cache_limit, label="Limit of the cache", initial=now, help_text="Bytes on each host, such as 100 GiB. "
                "When it is lowered, images leave with the next one that needs room.",
            )  # fmt: skip
            dress(self.fields["cache_limit"])
        if self.driver.key_label:
            key = self.fields["secret"] = key_field(self.driver)
            key.help_text = f"{NEW_KEY} {self.driver.key_help.split(' Empty:')[0]}"
            dress(key)

    @property
    def new_key(self) -> str:
        found: str = self.cleaned_data.get("secret", "")
        return found

    def clean(self) -> None:
        super().clean()
        if self.new_key:
            checked(self.driver.check_secret, self.new_key)

    def save(self, commit: bool = True) -> Datastore:
        row: Datastore = super().save(commit)
        if limit := self.cleaned_data.get("cache_limit"):
            row.options = row.options | {"cache_limit": limit}
            Datastore.objects.filter(pk=row.pk).update(options=row.options)
        if self.new_key:  # whoever changes the row meanwhile is refused by its version
            Datastore.objects.filter(pk=row.pk).update(secret=self.new_key)
        return row


class LimitsForm(Form):
    """The options that say how much a datastore may take, as fields. ``now``: their values as they are."""

    def __init__(self, driver: type[StorageDriver], now: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, initial=now, **kwargs)
        known = {field.name: field for field in dataclasses.fields(driver.Options)}
        for name in now:
            self.fields[name] = option_field(known[name])
            dress(self.fields[name])

    def params(self) -> dict[str, Any]:
        """Return the parameters of the job."""
        return {"options": dict(self.cleaned_data)}


class DatastoreHostsForm(Form):
    """The hosts beside the storage host. ``shown``: those that there were when the person saw the form."""

    hosts = forms.ModelMultipleChoiceField(
        Host.objects.none(), required=False, widget=forms.CheckboxSelectMultiple, label="Other hosts",
        help_text="Only hosts that are ready can be added. Any can be taken out, also one that does not answer.",
    )  # fmt: skip
    shown = forms.ModelMultipleChoiceField(Host.objects.all(), required=False, widget=forms.MultipleHiddenInput)

    def __init__(self, storage: Host, others: list[Host], *args: Any, **kwargs: Any) -> None:
        now = [host.pk for host in others]
        super().__init__(*args, initial={"hosts": now, "shown": now}, **kwargs)
        offered = Host.objects.usable() | Host.objects.filter(pk__in=now)
        self.fields["hosts"].queryset = offered.exclude(pk=storage.pk).order_by("name")  # type: ignore[attr-defined]

    def params(self) -> dict[str, Any]:
        """Return the parameters of the job."""
        wanted, shown = ({host.pk for host in self.cleaned_data[name]} for name in ("hosts", "shown"))
        return {"add": sorted(wanted - shown), "remove": sorted(shown - wanted)}
