"""Microsoft's own registry SDK, unmodified, against seawall: every public method of its client, and what each says."""

import hashlib
import inspect
import io
import json
import sys
import time

from azure.containerregistry import (
    ArtifactManifestOrder,
    ArtifactManifestProperties,
    ArtifactTagOrder,
    ArtifactTagProperties,
    ContainerRegistryClient,
    RepositoryProperties,
)
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

url, token, ca, audience = sys.argv[1:5]
REPOSITORY = "samples/sdk"


class Provided:
    """Gives the provider's token where Azure would give one of its own."""

    def get_token(self, *scopes, **kwargs):
        assert scopes == (audience + "/.default",), scopes
        return AccessToken(token, int(time.time()) + 600)


used = set()


class Counted(ContainerRegistryClient):
    """The client itself; only notes which of its methods were called."""

    def __getattribute__(self, name):
        if not name.startswith("_"):
            used.add(name)
        return super().__getattribute__(name)


client = Counted(url, Provided(), audience=audience, connection_verify=ca, retry_total=0)


def push(repository, tag, words, architecture="amd64"):
    config = json.dumps({"architecture": architecture, "os": "linux", "comment": words}).encode()
    config_digest, config_size = client.upload_blob(repository, io.BytesIO(config))
    layer = words.encode() * 1000
    digest, size = client.upload_blob(repository, io.BytesIO(layer))
    assert digest == "sha256:" + hashlib.sha256(layer).hexdigest() and size == len(layer), (digest, size)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config_digest,
            "size": config_size,
        },
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size}],
    }
    return client.set_manifest(repository, manifest, tag=tag), digest, len(layer)


def refused(status, call):
    try:
        call()
    except HttpResponseError as error:
        assert error.status_code == status, error
        return error
    raise AssertionError(f"this should have been refused with {status}")


def attributes(thing):
    return thing.can_delete, thing.can_write, thing.can_list, thing.can_read


# What is pushed is there, in every list.
pushed = {}
for number in range(5):
    pushed[f"v{number}"], blob, size = push(REPOSITORY, f"v{number}", f"image {number} ", "arm64" if number else "amd64")
    time.sleep(0.01)
push("samples/other", "v1", "another ")

assert list(client.list_repository_names()) == ["samples/other", REPOSITORY]
pages = list(client.list_repository_names(results_per_page=1).by_page())
assert [list(page) for page in pages] == [["samples/other"], [REPOSITORY]]

properties = client.get_repository_properties(REPOSITORY)
assert (properties.name, properties.tag_count, properties.manifest_count) == (REPOSITORY, 5, 5), vars(properties)
assert properties.created_on <= properties.last_updated_on
assert attributes(properties) == (True, True, True, True)

tags = list(client.list_tag_properties(REPOSITORY, results_per_page=2))
assert {tag.name: tag.digest for tag in tags} == pushed, tags
newest = client.list_tag_properties(REPOSITORY, order_by=ArtifactTagOrder.LAST_UPDATED_ON_DESCENDING, results_per_page=2)
assert [tag.name for tag in newest] == ["v4", "v3", "v2", "v1", "v0"]
tag = client.get_tag_properties(REPOSITORY, "v3")
assert (tag.name, tag.digest) == ("v3", pushed["v3"])

order = ArtifactManifestOrder.LAST_UPDATED_ON_ASCENDING
manifests = list(client.list_manifest_properties(REPOSITORY, order_by=order, results_per_page=2))
assert [one.digest for one in manifests] == [pushed[f"v{number}"] for number in range(5)]
assert [one.tags for one in manifests] == [[f"v{number}"] for number in range(5)]
last = manifests[-1]
assert (last.architecture, last.operating_system) == ("arm64", "linux") and last.size_in_bytes > size, vars(last)
assert client.get_manifest_properties(REPOSITORY, "v4").digest == pushed["v4"]
assert client.get_manifest_properties(REPOSITORY, pushed["v4"]).tags == ["v4"]

# Content goes and comes.
got = client.get_manifest(REPOSITORY, "v4")
assert got.digest == pushed["v4"] and got.manifest["layers"][0]["digest"] == blob
assert client.get_manifest(REPOSITORY, pushed["v4"]).digest == pushed["v4"]
assert b"".join(client.download_blob(REPOSITORY, blob)) == b"image 4 " * 1000
large = b"more than one piece " * 300_000
digest, _ = client.upload_blob(REPOSITORY, io.BytesIO(large))
assert b"".join(client.download_blob(REPOSITORY, digest)) == large

# Attributes are set one by one, and hold.
changed = client.update_tag_properties(REPOSITORY, "v4", can_write=False)
assert isinstance(changed, ArtifactTagProperties) and attributes(changed) == (True, False, True, True), vars(changed)
refused(405, lambda: client.delete_tag(REPOSITORY, "v4"))
changed.can_write = True
assert attributes(client.update_tag_properties(REPOSITORY, "v4", changed)) == (True, True, True, True)
changed = client.update_manifest_properties(REPOSITORY, pushed["v3"], can_delete=False, can_read=False)
assert isinstance(changed, ArtifactManifestProperties) and attributes(changed) == (False, True, True, False)
refused(405, lambda: client.delete_manifest(REPOSITORY, pushed["v3"]))
refused(405, lambda: client.get_manifest(REPOSITORY, pushed["v3"]))
refused(405, lambda: client.get_manifest(REPOSITORY, "v3"))
refused(405, lambda: client.delete_repository(REPOSITORY))
client.update_manifest_properties(REPOSITORY, "v3", can_delete=True, can_read=True)
changed = client.update_repository_properties(REPOSITORY, can_list=False)
assert isinstance(changed, RepositoryProperties) and attributes(changed) == (True, True, False, True)
assert list(client.list_repository_names()) == ["samples/other"]
changed.can_list = True
client.update_repository_properties(REPOSITORY, changed)
assert list(client.list_repository_names()) == ["samples/other", REPOSITORY]

# Deleting: a tag, a manifest with its tags, a blob, everything.
client.delete_tag(REPOSITORY, "v0")
refused(404, lambda: client.get_tag_properties(REPOSITORY, "v0"))
assert client.get_manifest_properties(REPOSITORY, pushed["v0"]).tags in (None, [])
client.delete_manifest(REPOSITORY, "v1")
refused(404, lambda: client.get_manifest(REPOSITORY, "v1"))
client.delete_manifest(REPOSITORY, pushed["v2"])
assert [tag.name for tag in client.list_tag_properties(REPOSITORY)] == ["v3", "v4"]
assert client.get_repository_properties(REPOSITORY).manifest_count == 3
client.delete_blob(REPOSITORY, digest)
refused(404, lambda: b"".join(client.download_blob(REPOSITORY, digest)))
client.delete_blob(REPOSITORY, digest)
client.delete_repository(REPOSITORY)
assert list(client.list_repository_names()) == ["samples/other"]
assert isinstance(refused(404, lambda: client.get_repository_properties(REPOSITORY)), ResourceNotFoundError)
client.delete_repository(REPOSITORY)
client.close()

public = {name for name, _ in inspect.getmembers(ContainerRegistryClient, callable) if not name.startswith("_")}
assert public <= used, f"not called: {sorted(public - used)}"
