"""An RTSP server made of GStreamer's gst-rtsp-server, run by the system's Python, where its bindings are.

Prints its port once it listens. Mounts: /h264 (with G.711), /aac (H.264 and AAC) and /h265. The user `viewer`
has the password `open sesame`, by Digest or, with --basic, by Basic alone; with --open nobody is asked.
With --tls CERTIFICATE KEY (PEM files) it listens inside TLS.
"""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

VIDEO = "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1"
X264 = "x264enc tune=zerolatency key-int-max=15 speed-preset=ultrafast"
# Parameter sets stand in the description alone: config-interval=0 and a stream without them.
H264 = f"{VIDEO} ! {X264} ! video/x-h264,stream-format=avc ! rtph264pay name=pay0 pt=96 config-interval=0"
X265 = "x265enc key-int-max=15 tune=zerolatency speed-preset=ultrafast"
SOUND = "audiotestsrc is-live=true ! audio/x-raw,rate=16000,channels=1"
MOUNTS = {
    "/h264": f"{H264} audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 pt=8",
    "/aac": f"{H264} {SOUND} ! voaacenc ! rtpmp4gpay name=pay1 pt=97",
    "/h265": f"{VIDEO} ! {X265} ! rtph265pay name=pay0 pt=98 config-interval=0",
}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--basic", action="store_true")
    options.add_argument("--open", action="store_true", help="no password")
    options.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    chosen = options.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    role = "user"
    auth = GstRtspServer.RTSPAuth()
    if chosen.tls:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(*chosen.tls))
        server.set_auth(auth)
    if not chosen.open:
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", role)
        if chosen.basic:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic("viewer", "open sesame"), token)
        else:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest("viewer", "open sesame", token)
        server.set_auth(auth)
    for path, pipeline in MOUNTS.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {pipeline} )")
        factory.set_shared(True)
        if not chosen.open:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role(role, "media.factory.access", True)
            permissions.add_permission_for_role(role, "media.factory.construct", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)
    server.attach(None)
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
