"""A load balancer of a cloud: passes TCP connections on, and says in a PROXY protocol v2 header who is calling and through
which VPC endpoint (type 0xEA, subtype 1, as AWS documents it). No load balancer of Debian can be told to send that type.

balancer.py LISTEN-ADDRESS PORT TO-ADDRESS TO-PORT VPC-ENDPOINT-ID
"""

import ipaddress
import socket
import struct
import sys
import threading


def header(source, destination, endpoint):
    addresses = ipaddress.ip_address(source[0]).packed + ipaddress.ip_address(destination[0]).packed
    ports = struct.pack("!HH", source[1], destination[1])
    value = b"\x01" + endpoint.encode("ascii")
    rest = addresses + ports + b"\xea" + struct.pack("!H", len(value)) + value
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(rest)) + rest


def pass_on(reader, writer):
    try:
        while data := reader.recv(65536):
            writer.sendall(data)
        writer.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (reader, writer):
            end.close()


def main():
    listen, port, to, to_port, endpoint = sys.argv[1:]
    with socket.create_server((listen, int(port)), backlog=64) as server:
        while True:
            client, source = server.accept()
            upstream = socket.create_connection((to, int(to_port)))
            upstream.sendall(header(source, client.getsockname(), endpoint))
            for ends in ((client, upstream), (upstream, client)):
                threading.Thread(target=pass_on, args=ends, daemon=True).start()


main()
