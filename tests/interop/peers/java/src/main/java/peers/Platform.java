package peers;

import io.github.lunasaw.gb28181.common.entity.utils.PtzCmdEnum;
import io.github.lunasaw.gb28181.common.entity.utils.PtzUtils;
import java.io.BufferedReader;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import javax.sip.ClientTransaction;
import javax.sip.Dialog;
import javax.sip.DialogTerminatedEvent;
import javax.sip.IOExceptionEvent;
import javax.sip.RequestEvent;
import javax.sip.ResponseEvent;
import javax.sip.SipListener;
import javax.sip.TimeoutEvent;
import javax.sip.TransactionTerminatedEvent;
import javax.sip.header.AuthorizationHeader;
import javax.sip.header.CSeqHeader;
import javax.sip.header.ExpiresHeader;
import javax.sip.header.FromHeader;
import javax.sip.header.WWWAuthenticateHeader;
import javax.sip.message.Request;
import javax.sip.message.Response;

/**
 * A superior platform: challenges REGISTER, then does what standard input says: `catalog`, `info`, `subscribe`,
 * `invite CHANNEL`, `ptz CHANNEL`, `bye`, `quit`. The payload of the RTP it receives goes into a file.
 */
final class Platform implements SipListener {
    private static final String NONCE = "5ec2e7c0ffee";
    private final Stack stack;
    private final String password;
    private final String mediaFile;
    private String peerId = "";
    private String peerHost = "";
    private int peerPort;
    private Dialog call;
    private int sn = 100;

    Platform(String[] a) throws Exception {
        // id domain transport port password mediaFile
        stack = new Stack(a[0], a[1], a[2], Integer.parseInt(a[3]), this);
        password = a[4];
        mediaFile = a[5];
    }

    void run() throws Exception {
        Stack.tell("listening", stack.port);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null && !line.equals("quit"); line = input.readLine()) {
            try {
                obey(line.split(" "));
            } catch (Exception error) {
                Stack.tell("error", error.toString());
            }
        }
        System.exit(0);
    }

    private void obey(String[] words) throws Exception {
        switch (words[0]) {
            case "catalog" -> query("Catalog", peerId);
            case "info" -> query("DeviceInfo", peerId);
            case "ptz" -> {
                String command = PtzUtils.getPtzCmd(PtzCmdEnum.LEFT, 0x40);
                message(words[1], "<Control><CmdType>DeviceControl</CmdType><SN>" + ++sn + "</SN><DeviceID>" + words[1]
                        + "</DeviceID><PTZCmd>" + command + "</PTZCmd></Control>");
            }
            case "subscribe" -> subscribe();
            case "invite" -> invite(words[1]);
            case "bye" -> stack.sendIn(call, Request.BYE, null, null);
            default -> Stack.tell("unknown", words[0]);
        }
    }

    private void query(String type, String target) throws Exception {
        message(target, "<?xml version=\"1.0\" encoding=\"GB2312\"?><Query><CmdType>" + type + "</CmdType><SN>" + ++sn
                + "</SN><DeviceID>" + target + "</DeviceID></Query>");
    }

    private void message(String target, String body) throws Exception {
        stack.send(stack.request(Request.MESSAGE, target, peerHost, peerPort, body, "Application/MANSCDP+xml"));
    }

    private void subscribe() throws Exception {
        String body = "<Query><CmdType>Catalog</CmdType><SN>" + ++sn + "</SN><DeviceID>" + peerId + "</DeviceID></Query>";
        Request request = stack.request(Request.SUBSCRIBE, peerId, peerHost, peerPort, body, "Application/MANSCDP+xml");
        request.addHeader(stack.headers.createExpiresHeader(600));
        request.addHeader(stack.headers.createHeader("Event", "Catalog;id=1"));
        stack.send(request);
    }

    private void invite(String channel) throws Exception {
        DatagramSocket media = new DatagramSocket(0, InetAddress.getByName("127.0.0.1"));
        Thread reader = new Thread(() -> read(media));
        reader.setDaemon(true);
        reader.start();
        String ssrc = "0100000007";
        String offer = "v=0\r\no=" + stack.id + " 0 0 IN IP4 127.0.0.1\r\ns=Play\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video "
                + media.getLocalPort() + " RTP/AVP 96\r\na=recvonly\r\na=rtpmap:96 PS/90000\r\ny=" + ssrc + "\r\n";
        Request request = stack.request(Request.INVITE, channel, peerHost, peerPort, offer, "application/sdp");
        request.addHeader(stack.headers.createHeader("Subject", channel + ":" + ssrc + "," + stack.id + ":1"));
        ClientTransaction transaction = stack.send(request);
        Stack.tell("inviting", channel, "branch", transaction.getBranchId());
    }

    private void read(DatagramSocket media) {
        byte[] buffer = new byte[65536];
        int packets = 0;
        try (FileOutputStream file = new FileOutputStream(mediaFile)) {
            while (true) {
                DatagramPacket packet = new DatagramPacket(buffer, buffer.length);
                media.receive(packet);
                file.write(buffer, 12, packet.getLength() - 12);
                if (++packets % 50 == 1) {
                    long ssrc = java.nio.ByteBuffer.wrap(buffer, 8, 4).getInt() & 0xFFFFFFFFL;
                    Stack.tell("rtp", packets, "ssrc", ssrc, "payload_type", buffer[1] & 0x7F);
                }
            }
        } catch (Exception error) {
            Stack.tell("error", error.toString());
        }
    }

    @Override
    public void processRequest(RequestEvent event) {
        Request request = event.getRequest();
        try {
            switch (request.getMethod()) {
                case Request.REGISTER -> registering(event);
                case Request.MESSAGE, Request.NOTIFY -> {
                    stack.answer(event, 200, null, null);
                    String xml = Stack.text(request);
                    Stack.tell(request.getMethod().toLowerCase(), Stack.element(xml, "CmdType"), "body", xml);
                }
                case Request.BYE -> {
                    stack.answer(event, 200, null, null);
                    Stack.tell("bye", true);
                }
                case Request.ACK -> {}
                default -> stack.answer(event, 200, null, null);
            }
        } catch (Exception error) {
            Stack.tell("error", error.toString());
        }
    }

    private void registering(RequestEvent event) throws Exception {
        Request request = event.getRequest();
        AuthorizationHeader credentials = (AuthorizationHeader) request.getHeader("Authorization");
        if (credentials == null) {
            Response challenge = stack.messages.createResponse(401, request);
            WWWAuthenticateHeader header = stack.headers.createWWWAuthenticateHeader("Digest");
            header.setRealm(stack.domain);
            header.setNonce(NONCE);
            header.setAlgorithm("MD5");
            challenge.addHeader(header);
            stack.transactionOf(event).sendResponse(challenge);
            return;
        }
        String secret = Stack.md5(credentials.getUsername() + ":" + stack.domain + ":" + password);
        String about = Stack.md5("REGISTER:" + credentials.getURI());
        String expected = Stack.md5(secret + ":" + NONCE + ":" + about);
        if (!expected.equals(credentials.getResponse())) {
            Stack.tell("refused", credentials.getUsername());
            stack.answer(event, 403, null, null);
            return;
        }
        ExpiresHeader expires = request.getExpires();
        Response response = stack.messages.createResponse(200, request);
        response.addHeader(stack.headers.createExpiresHeader(expires == null ? 3600 : expires.getExpires()));
        stack.transactionOf(event).sendResponse(response);
        peerId = ((javax.sip.address.SipURI) ((FromHeader) request.getHeader("From")).getAddress().getURI()).getUser();
        javax.sip.header.ViaHeader via = (javax.sip.header.ViaHeader) request.getHeader("Via");
        peerHost = via.getReceived() == null ? via.getHost() : via.getReceived();
        peerPort = via.getRPort() > 0 ? via.getRPort() : via.getPort();
        Stack.tell("registered", peerId, "expires", expires == null ? -1 : expires.getExpires());
    }

    @Override
    public void processResponse(ResponseEvent event) {
        Response response = event.getResponse();
        CSeqHeader number = (CSeqHeader) response.getHeader("CSeq");
        try {
            Stack.tell("response", response.getStatusCode(), "to", number.getMethod(), "body", Stack.text(response));
            if (number.getMethod().equals(Request.INVITE) && response.getStatusCode() == 200) {
                call = event.getDialog();
                call.sendAck(call.createAck(number.getSeqNumber()));
            }
        } catch (Exception error) {
            Stack.tell("error", error.toString());
        }
    }

    @Override
    public void processTimeout(TimeoutEvent event) {
        Stack.tell("timeout", true);
    }

    @Override
    public void processIOException(IOExceptionEvent event) {
        Stack.tell("io", event.getHost() + ":" + event.getPort());
    }

    @Override
    public void processTransactionTerminated(TransactionTerminatedEvent event) {}

    @Override
    public void processDialogTerminated(DialogTerminatedEvent event) {}
}
