"""Microsoft's own registry SDK against seawall: the token is an identity provider's, everything else is the SDK's."""

import hashlib
import io
import sys
import time

from azure.containerregistry import ContainerRegistryClient
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError

url, token, ca, audience = sys.argv[1:5]


class Provided:
    """Gives the provider's token where Azure would give one of its own."""

    def get_token(self, *scopes, **kwargs):
        assert scopes == (audience + "/.default",), scopes
        return AccessToken(token, int(time.time()) + 600)


client = ContainerRegistryClient(url, Provided(), audience=audience, connection_verify=ca, retry_total=0)
layer = b"pushed by the SDK " * 300_000
digest, size = client.upload_blob("samples/sdk", io.BytesIO(layer))
assert digest == "sha256:" + hashlib.sha256(layer).hexdigest() and size == len(layer), (digest, size)
config, config_size = client.upload_blob("samples/sdk", io.BytesIO(b"{}"))
manifest = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size}],
}
pushed = client.set_manifest("samples/sdk", manifest, tag="v1")
pulled = client.get_manifest("samples/sdk", "v1")
assert pulled.digest == pushed and pulled.manifest["layers"][0]["digest"] == digest, pulled
assert b"".join(client.download_blob("samples/sdk", digest)) == layer
try:
    client.delete_blob("samples/sdk", digest)
    raise AssertionError("AcrPush deleted a blob")
except HttpResponseError as error:
    assert error.status_code == 401, error
