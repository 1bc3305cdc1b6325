package peers;

import java.io.IOException;
import java.io.OutputStream;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

/** Sends a program stream again and again as RTP: over UDP, or framed by RFC 4571 over TCP in either role. */
final class Media implements AutoCloseable {
    private static final int PAYLOAD = 1400;
    private static final int SECONDS = 10;

    private final byte[] stream;
    private final int ssrc;
    private final String host;
    private final int port;
    private final String setup;
    private final DatagramSocket datagrams = new DatagramSocket(0, InetAddress.getLoopbackAddress());
    private final ServerSocket listener = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
    private volatile Socket connection;
    private volatile boolean closed;

    /** `setup` is what the offer says: "" for UDP, "passive" when we are to dial, "active" when we are dialled. */
    Media(Path file, int ssrc, String host, int port, String setup) throws Exception {
        stream = Files.readAllBytes(file);
        this.ssrc = ssrc;
        this.host = host;
        this.port = port;
        this.setup = setup;
    }

    /** The port that belongs into our answer. */
    int port() {
        return setup.equals("active") ? listener.getLocalPort() : datagrams.getLocalPort();
    }

    void start() {
        Thread sending = new Thread(this::run, "media");
        sending.setDaemon(true);
        sending.start();
    }

    private void run() {
        try {
            OutputStream out = null;
            if (!setup.isEmpty()) {
                connection = setup.equals("active") ? listener.accept() : new Socket(host, port);
                out = connection.getOutputStream();
            }
            int count = (stream.length + PAYLOAD - 1) / PAYLOAD;
            for (int number = 0; !closed; number++) {
                int at = number % count * PAYLOAD;
                int length = Math.min(PAYLOAD, stream.length - at);
                ByteBuffer packet = ByteBuffer.allocate(2 + 12 + length);
                packet.putShort((short) (12 + length)).put((byte) 0x80).put((byte) 96).putShort((short) number);
                packet.putInt((int) (90_000L * SECONDS * number / count)).putInt(ssrc).put(stream, at, length);
                if (out != null) {
                    out.write(packet.array());
                } else {
                    InetSocketAddress target = new InetSocketAddress(host, port);
                    datagrams.send(new DatagramPacket(packet.array(), 2, 12 + length, target));
                }
                Thread.sleep(1000L * SECONDS / count);
            }
        } catch (IOException ended) {
            // Who watches may close the connection before its BYE is here.
            Stack.tell("media", ended.toString());
        } catch (Exception error) {
            Stack.tell("error", error.toString());
        }
    }

    @Override
    public void close() throws Exception {
        closed = true;
        datagrams.close();
        listener.close();
        if (connection != null) {
            connection.close();
        }
    }
}
