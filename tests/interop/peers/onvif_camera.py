"""An ONVIF camera made of the PyPI package ipycam, run by an environment of its own (scripts/build-peers.sh).

Prints its port once it listens on 127.0.0.1. The user `viewer` has the password `open sesame`.
"""

import sys
from socketserver import ThreadingTCPServer

from ipycam import CameraConfig, IPCamera
from ipycam.http import IPCameraHTTPHandler


def main() -> None:
    with ThreadingTCPServer(("127.0.0.1", 0), IPCameraHTTPHandler) as server:
        port = server.server_address[1]
        settings = CameraConfig(
            local_ip="127.0.0.1", onvif_port=port, username="viewer", password="open sesame"
        )
        IPCameraHTTPHandler.camera = IPCamera(settings)
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
