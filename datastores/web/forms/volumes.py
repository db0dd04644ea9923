"""What is done to the volume of a datastore: one small form each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from datastores.domain.errors import BadInput
from datastores.domain.gluster import address_list, option_name, volume_directory
from datastores.domain.gluster_partitions import partition_name
from datastores.models import Brick, Host, Partition, User
from datastores.web.forms.base import CheckedField, Form, LinesField, SizeField
from datastores.web.forms.datastores import brick_line

CLEAR = "Delete the directories of the bricks that go, with what is left in them"
WAYS = (("files", "Move the files that belong elsewhere now"), ("layout", "Only let new files use all bricks"))


def brick_of(line: str, hosts: Sequence[Host]) -> dict[str, Any]:
    """Return a brick of one of the hosts as parameter of a job. Raises BadInput when it is of none."""
    name, _, path = line.partition(":")
    host = next((host for host in hosts if host.name == name), None)
    if host is None:
        raise BadInput(f"{name} is not among the hosts of the datastore. Add it there first.")
    return {"host": host.pk, "path": path}


def key_of(brick: Brick) -> str:
    return f"{brick.peer}:{brick.path}"


class BrickForm(Form):
    """A form about some of the bricks of a volume."""

    def __init__(self, *args: Any, bricks: Sequence[Brick], hosts: Sequence[Host], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bricks, self.hosts = bricks, hosts

    def chosen(self, name: str) -> list[dict[str, str]]:
        """Return the bricks that were chosen in a field of this name."""
        keys = self.cleaned_data[name]
        wanted = {keys} if isinstance(keys, str) else set(keys)
        return [{"peer": each.peer, "path": each.path} for each in self.bricks if key_of(each) in wanted]

    def offer(self, name: str) -> None:
        choices = [(key_of(brick), str(brick)) for brick in self.bricks]
        self.fields[name].choices = choices  # type: ignore[attr-defined]


class AddForm(BrickForm):
    bricks_to_add = LinesField(
        brick_line, label="Bricks", help_text="One a line, such as h1:/srv/disk2/brick: whole sets, of hosts of the "
        "datastore. Files come there with a rebalance.",
    )  # fmt: skip

    def params(self) -> dict[str, Any]:
        return {"bricks": [brick_of(line, self.hosts) for line in self.cleaned_data["bricks_to_add"]]}


class RemoveForm(BrickForm):
    gone = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple, label="Bricks",
        help_text="Whole sets. Their files move to the others first; until that has ended it can be cancelled.",
    )  # fmt: skip
    clear = forms.BooleanField(required=False, label=CLEAR)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer("gone")

    def params(self) -> dict[str, Any]:
        return {"bricks": self.chosen("gone"), "clear": self.cleaned_data["clear"]}


class ReplaceForm(BrickForm):
    old = forms.ChoiceField(label="This brick")
    new = CheckedField(brick_line, mono=True, label="becomes", help_text="Such as h4:/srv/disk1/brick.")
    clear = forms.BooleanField(required=False, label=CLEAR)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer("old")

    def params(self) -> dict[str, Any]:
        [old] = self.chosen("old")
        return {**old, "brick": brick_of(self.cleaned_data["new"], self.hosts), "clear": self.cleaned_data["clear"]}


class BareForm(Form):
    """There is nothing to choose."""

    def params(self) -> dict[str, Any]:
        return {}


class RebalanceForm(Form):
    way = forms.ChoiceField(choices=WAYS, widget=forms.RadioSelect, initial="files", label="What")

    def params(self) -> dict[str, Any]:
        return {"files": self.cleaned_data["way"] == "files"}


class ChooseForm(BrickForm):
    entry = forms.ChoiceField(label="File")
    source = forms.ChoiceField(label="is right on", help_text="What the other copies hold instead is lost.")

    def __init__(self, *args: Any, torn: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["entry"].choices = [(name, name) for name in torn]  # type: ignore[attr-defined]
        self.offer("source")

    def params(self) -> dict[str, Any]:
        [source] = self.chosen("source")
        return {**source, "entry": self.cleaned_data["entry"]}


class OptionForm(Form):
    option = CheckedField(option_name, mono=True, help_text="Its full name, such as network.ping-timeout.")
    value = forms.CharField(max_length=1024)

    def params(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("option", "value")}


class QuotaForm(Form):
    path = CheckedField(
        volume_directory, mono=True, label="Directory", initial="/", help_text="From the root of the volume, such as "
        "/tenants/blue; / is all of it.",
    )  # fmt: skip
    size = SizeField(label="At most", help_text="What is in it and below. From then on each write is counted.")

    def params(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("path", "size")}


class UnlimitForm(Form):
    path = forms.ChoiceField(label="Directory")

    def __init__(self, *args: Any, limited: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["path"].choices = [(path, path) for path in limited]  # type: ignore[attr-defined]

    def params(self) -> dict[str, Any]:
        return {"path": self.cleaned_data["path"]}


class AddressesField(LinesField):
    """Addresses, networks or patterns, one a line or with commas between."""

    def clean(self, value: Any) -> list[str]:
        return super().clean(value.replace(",", "\n") if value else value)


class GiveForm(Form):
    name = CheckedField(
        partition_name, mono=True, help_text="Its directory is /partitions/<name> in the volume. One that there is "
        "already is changed.",
    )  # fmt: skip
    owner = forms.ModelChoiceField(queryset=User.objects.none(), help_text="Sees it, and how it is mounted.")
    size = SizeField(label="At most")
    addresses = AddressesField(
        address_list, label="May mount it", help_text="One address, network or pattern a line, such as 10.0.0.7 or "
        "10.0.3.*: nothing else of the volume.",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        owners = User.objects.filter(is_active=True).exclude(role=User.Role.AUDITOR).order_by("username")
        self.fields["owner"].queryset = owners  # type: ignore[attr-defined]

    def params(self) -> dict[str, Any]:
        data = self.cleaned_data
        return {**{name: data[name] for name in ("name", "size", "addresses")}, "owner": data["owner"].pk}


class TakeForm(Form):
    name = forms.ChoiceField(label="Partition", help_text="Its directory stays, with what is in it.")

    def __init__(self, *args: Any, partitions: Sequence[Partition], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].choices = [(each.name, each.name) for each in partitions]  # type: ignore[attr-defined]

    def params(self) -> dict[str, Any]:
        return {"name": self.cleaned_data["name"]}
