"""An RTSP player made of GStreamer, run by the system's Python, where its bindings are.

`rtsp_client.py URL tcp|udp TRACKS COUNT` decodes every track and prints `decoded CAPS` for each once so many
buffers of each have come. H.265 is parsed only: the libde265 of Debian 12 aborts on streams of x265. It fails
with what GStreamer says, or when the stream ends before.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402


def main() -> None:
    url, transport, tracks, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    Gst.init(None)
    loop = GLib.MainLoop()
    pipeline = Gst.Pipeline.new()
    source = Gst.ElementFactory.make("rtspsrc")
    source.set_property("location", url)
    source.set_property("latency", 100)
    Gst.util_set_object_arg(source, "protocols", transport)
    pipeline.add(source)
    decoded: dict[str, int] = {}

    def count_buffer(_sink: Gst.Element, _buffer: Gst.Buffer, pad: Gst.Pad) -> None:
        name = pad.get_current_caps().get_structure(0).get_name()
        decoded[name] = decoded.get(name, 0) + 1
        if len(decoded) == tracks and min(decoded.values()) >= count:
            GLib.idle_add(loop.quit)

    def add(pad: Gst.Pad, kind: str) -> None:
        element = Gst.ElementFactory.make(kind)
        if kind == "fakesink":
            element.set_property("signal-handoffs", True)
            element.set_property("sync", False)
            element.connect("handoff", count_buffer)
        else:
            element.connect("pad-added", lambda _bin, decoded_pad: add(decoded_pad, "fakesink"))
        pipeline.add(element)
        pad.link(element.get_static_pad("sink"))
        element.sync_state_with_parent()

    def parse(pad: Gst.Pad) -> None:
        parser = Gst.parse_bin_from_description("rtph265depay ! h265parse", True)
        pipeline.add(parser)
        pad.link(parser.get_static_pad("sink"))
        add(parser.get_static_pad("src"), "fakesink")
        parser.sync_state_with_parent()

    def take(_source: Gst.Element, pad: Gst.Pad) -> None:
        if pad.get_current_caps().get_structure(0).get_string("encoding-name") == "H265":
            parse(pad)
        else:
            add(pad, "decodebin")

    source.connect("pad-added", take)
    failure: list[str] = []

    def heard(_bus: Gst.Bus, message: Gst.Message) -> None:
        if message.type in {Gst.MessageType.ERROR, Gst.MessageType.EOS}:
            failure.append(str(message.parse_error()) if message.type == Gst.MessageType.ERROR else "ended")
            loop.quit()

    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", heard)
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()
    pipeline.set_state(Gst.State.NULL)
    if failure:
        sys.exit(failure[0])
    for name in sorted(decoded):
        sys.stdout.write(f"decoded {name}\n")


if __name__ == "__main__":
    main()
