"""A TLS client and a TLS server with OpenSSL that forward plaintext between them.

    plain ─▶ TLS client ─▶ a proxy ─▶ TLS server ─▶ plain

    tls_ends.py PLAIN FOLDER VERSION CIPHERS

PLAIN is the port behind the TLS server; FOLDER has cert.pem and key.pem and gets keys.txt, the key log. Prints the port of the TLS
server. Then reads a line with the port of the proxy, and prints the port in front of the TLS client.
"""

import asyncio
import ssl
import sys

plain, folder, version, ciphers = sys.argv[1:]


def context(side):
    made = ssl.SSLContext(side)
    made.minimum_version = made.maximum_version = ssl.TLSVersion[version]
    if version == "TLSv1_2":
        made.set_ciphers(ciphers)  # OPENSSL_CONF names those of TLS 1.3.
    made.set_alpn_protocols(["h2"])
    return made


async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def end(here, there, port):
    async def join(reader, writer):
        name = "x.test.example.com" if there else None
        inner, outer = await asyncio.open_connection("127.0.0.1", port, ssl=there, server_hostname=name)
        await asyncio.gather(copy(reader, outer), copy(inner, writer), return_exceptions=True)

    server = await asyncio.start_server(join, "127.0.0.1", 0, ssl=here)
    print(server.sockets[0].getsockname()[1], flush=True)
    return server


async def main():
    server, client = context(ssl.PROTOCOL_TLS_SERVER), context(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.keylog_filename = f"{folder}/keys.txt"
    behind = await end(server, None, int(plain))
    front = await end(None, client, int(sys.stdin.readline()))
    await asyncio.gather(behind.serve_forever(), front.serve_forever())


asyncio.run(main())
