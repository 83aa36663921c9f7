"""A storage account for the programs: block blobs in memory over HTTP, behind a shared access signature that is compared
and not computed. It knows what the service's import and export jobs need of Azure Blob Storage."""

import http.server
import re
import threading
import urllib.parse
import xml.etree.ElementTree


class Account:
    """blobs maps container/name to bytes."""

    def __init__(self):
        self.blobs, self.blocks = {}, {}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def uri(self, container, signature="c2lnbmF0dXJl"):
        """The address of a container, as an account's owner signs it."""
        return "http://127.0.0.1:{}/account/{}?sv=2021-04-12&sr=c&sp=rwdl&sig={}".format(
            self.server.server_address[1], container, urllib.parse.quote(signature)
        )

    def text(self, name):
        return self.blobs[name].decode()

    def handler(account):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def parse(self):
                url = urllib.parse.urlsplit(self.path)
                self.query = dict(urllib.parse.parse_qsl(url.query))
                found = re.fullmatch("/account/([a-z0-9-]+)/(.+)", urllib.parse.unquote(url.path))
                if self.query.get("sig") != "c2lnbmF0dXJl":
                    self.answer(403, x_ms_error_code="AuthenticationFailed")
                elif found is None or found[1] == "missing":
                    self.answer(404, x_ms_error_code="ContainerNotFound")
                else:
                    return "{}/{}".format(found[1], found[2])

            def do_PUT(self):
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                name = self.parse()
                if name is None:
                    return
                if self.query.get("comp") == "block":
                    account.blocks[self.query["blockid"]] = body
                elif self.query.get("comp") == "blocklist":
                    ids = [e.text for e in xml.etree.ElementTree.fromstring(body)]
                    account.blobs[name] = b"".join(account.blocks[i] for i in ids)
                elif self.headers.get("x-ms-blob-type") == "BlockBlob":
                    account.blobs[name] = body
                else:
                    return self.answer(400, x_ms_error_code="InvalidHeaderValue")
                self.answer(201, ETag='"1"')

            def do_GET(self):
                name = self.parse()
                if name is None:
                    return
                if name not in account.blobs:
                    return self.answer(404, x_ms_error_code="BlobNotFound")
                self.answer(200, account.blobs[name], ETag='"1"', x_ms_blob_type="BlockBlob")

        return Handler
