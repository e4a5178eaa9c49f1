"""Run by the interpreter of the obstore environment: the object_store crate against the server."""

import os

import obstore
from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError
from obstore.store import S3Store

store = S3Store(
    "data",
    endpoint=os.environ["AWS_ENDPOINT_URL"],
    access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
    secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    region=os.environ["AWS_DEFAULT_REGION"],
    virtual_hosted_style_request=False,
    client_options={"allow_http": True},
)
big = os.urandom(17_000_000)

made = obstore.put(store, "dir/a b+ü.txt", b"hello", attributes={"Content-Type": "text/plain", "who": "me"})
got = obstore.get(store, "dir/a b+ü.txt")
assert bytes(got.bytes()) == b"hello"
assert got.attributes["Content-Type"] == "text/plain"
assert got.attributes["who"] == "me"
obstore.put(store, "dir/big", big, chunk_size=5 << 20, use_multipart=True)
assert bytes(obstore.get(store, "dir/big").bytes()) == big
assert bytes(obstore.get_range(store, "dir/big", start=5_000_000, end=5_000_100)) == big[5_000_000:5_000_100]
assert [each["path"] for batch in obstore.list(store, "dir") for each in batch] == ["dir/a b+ü.txt", "dir/big"]
assert obstore.list_with_delimiter(store)["common_prefixes"] == ["dir"]
obstore.copy(store, "dir/big", "copy")
assert obstore.head(store, "copy")["size"] == len(big)
try:
    obstore.put(store, "copy", b"x", mode="create")
except AlreadyExistsError:
    pass
else:
    raise AssertionError("an exclusive creation replaced an object")
obstore.put(store, "dir/a b+ü.txt", b"two", mode={"e_tag": made["e_tag"]})
try:
    obstore.put(store, "dir/a b+ü.txt", b"three", mode={"e_tag": made["e_tag"]})
except PreconditionError:
    pass
else:
    raise AssertionError("an update of an older version went through")
obstore.rename(store, "copy", "moved")
obstore.delete(store, ["moved", "dir/big", "dir/a b+ü.txt"])
try:
    obstore.head(store, "moved")
except (NotFoundError, FileNotFoundError):
    pass
else:
    raise AssertionError("a deleted object is still there")
print("done")
