"""Run by the interpreter of the s3fs environment: a folder's life through fsspec."""

import os

import s3fs

fs = s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"])
big = os.urandom(12_000_000)

fs.mkdir("made")
with fs.open("made/dir/a.txt", "w") as file:
    file.write("hello")
with fs.open("made/dir/big.bin", "wb") as file:
    file.write(big)
assert fs.ls("made") == ["made/dir"]
assert sorted(fs.find("made")) == ["made/dir/a.txt", "made/dir/big.bin"]
assert fs.info("made/dir/big.bin")["size"] == len(big)
with fs.open("made/dir/big.bin", "rb", block_size=1 << 20) as file:
    file.seek(5_000_000)
    assert file.read(100) == big[5_000_000:5_000_100]
assert fs.cat_ranges(["made/dir/big.bin"] * 2, [0, 11_999_990], [10, 12_000_000]) == [big[:10], big[-10:]]
fs.copy("made/dir", "made/copy", recursive=True)
assert fs.cat("made/copy/big.bin") == big
fs.mv("made/copy/a.txt", "made/b.txt")
assert fs.cat("made/b.txt") == b"hello"
assert not fs.exists("made/copy/a.txt")
with fs.open("made/b.txt", "ab") as file:
    file.write(b" again")
assert fs.cat("made/b.txt") == b"hello again"
fs.setxattr("made/b.txt", who="me")
assert fs.getxattr("made/b.txt", "who") == "me"
fs.put_tags("made/b.txt", {"k": "v"})
assert fs.get_tags("made/b.txt") == {"k": "v"}
try:
    fs.pipe_file("made/b.txt", b"x", mode="create")
except FileExistsError:
    pass
else:
    raise AssertionError("an exclusive creation replaced a file")
fs.rm("made", recursive=True)
assert not fs.exists("made")
print("done")
