package peers;

import io.github.lunasaw.gb28181.common.entity.control.instruction.serializer.PTZInstructionSerializer;
import io.github.lunasaw.gb28181.common.entity.notify.DeviceKeepLiveNotify;
import io.github.lunasaw.gb28181.common.entity.response.DeviceInfo;
import io.github.lunasaw.gb28181.common.entity.response.DeviceItem;
import io.github.lunasaw.gb28181.common.entity.response.DeviceResponse;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import javax.sip.Dialog;
import javax.sip.DialogTerminatedEvent;
import javax.sip.IOExceptionEvent;
import javax.sip.RequestEvent;
import javax.sip.ResponseEvent;
import javax.sip.SipListener;
import javax.sip.TimeoutEvent;
import javax.sip.TransactionTerminatedEvent;
import javax.sip.header.CSeqHeader;
import javax.sip.header.ExpiresHeader;
import javax.sip.header.WWWAuthenticateHeader;
import javax.sip.message.Request;
import javax.sip.message.Response;

/** A recorder with two cameras: registers, keeps alive, answers, takes calls (without sending media). */
final class Device implements SipListener {
    private final Stack stack;
    private final String serverId;
    private final int serverPort;
    private final String password;
    private final ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor();
    private int sn;
    private int expires = 3600;

    Device(String[] a) throws Exception {
        // id domain transport port serverId serverPort password
        stack = new Stack(a[0], a[1], a[2], Integer.parseInt(a[3]), this);
        serverId = a[4];
        serverPort = Integer.parseInt(a[5]);
        password = a[6];
    }

    void run() throws Exception {
        register(null, null);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null && !line.equals("quit"); line = input.readLine()) {
            Stack.tell("unknown", line);
        }
        expires = 0;
        register(null, null);
        Thread.sleep(1000);
        System.exit(0);
    }

    private void register(WWWAuthenticateHeader challenge, Request first) throws Exception {
        Request request = stack.request(Request.REGISTER, serverId, "127.0.0.1", serverPort, null, null);
        javax.sip.header.ToHeader to = (javax.sip.header.ToHeader) request.getHeader("To");
        to.setAddress(stack.addresses.createAddress(stack.addresses.createSipURI(stack.id, stack.domain)));
        request.addHeader(stack.headers.createExpiresHeader(expires));
        if (challenge != null) {
            request.setHeader(first.getHeader("Call-ID"));
            request.addHeader(stack.answerTo(challenge, request, password));
        }
        stack.send(request);
    }

    private void message(String body) throws Exception {
        stack.send(stack.request(Request.MESSAGE, serverId, "127.0.0.1", serverPort, body, "Application/MANSCDP+xml"));
    }

    @Override
    public void processResponse(ResponseEvent event) {
        Response response = event.getResponse();
        String method = ((CSeqHeader) response.getHeader("CSeq")).getMethod();
        try {
            if (!method.equals(Request.REGISTER)) {
                return;
            }
            if (response.getStatusCode() == 401) {
                Request first = event.getClientTransaction().getRequest();
                register((WWWAuthenticateHeader) response.getHeader("WWW-Authenticate"), first);
                return;
            }
            Stack.tell("registered", response.getStatusCode(), "expires", expires);
            if (response.getStatusCode() == 200 && expires > 0) {
                clock.scheduleAtFixedRate(this::keepAlive, 0, 1, TimeUnit.SECONDS);
            }
        } catch (Exception error) {
            Stack.tell("error", error.toString());
        }
    }

    private void keepAlive() {
        try {
            DeviceKeepLiveNotify notify = new DeviceKeepLiveNotify("Keepalive", String.valueOf(++sn), stack.id);
            notify.setStatus("OK");
            message(notify.toString());
        } catch (Exception error) {
            Stack.tell("error", error.toString());
        }
    }

    @Override
    public void processRequest(RequestEvent event) {
        Request request = event.getRequest();
        try {
            switch (request.getMethod()) {
                case Request.MESSAGE -> {
                    stack.answer(event, 200, null, null);
                    asked(Stack.text(request));
                }
                case Request.INVITE -> invited(event);
                case Request.ACK -> Stack.tell("ack", true);
                case Request.BYE -> {
                    stack.answer(event, 200, null, null);
                    Stack.tell("bye", true);
                }
                case Request.SUBSCRIBE -> subscribed(event);
                default -> stack.answer(event, 200, null, null);
            }
        } catch (Exception error) {
            Stack.tell("error", error.toString());
        }
    }

    private void asked(String xml) throws Exception {
        String type = Stack.element(xml, "CmdType");
        String number = Stack.element(xml, "SN");
        switch (type) {
            case "Catalog" -> message(catalogue(number).toString());
            case "DeviceInfo" -> {
                DeviceInfo info = new DeviceInfo("DeviceInfo", number, stack.id);
                info.setDeviceName("爪哇 recorder");
                info.setResult("OK");
                info.setManufacturer("lunasaw");
                info.setModel("jain-sip");
                info.setFirmware("1.2.5");
                info.setChannel(2);
                message(info.toString());
            }
            case "DeviceControl" -> {
                String ptz = Stack.element(xml, "PTZCmd");
                String read = ptz.isEmpty() ? "" : PTZInstructionSerializer.deserializeFromHex(ptz).toString();
                Stack.tell("control", xml.replaceAll("\\s+", " "), "ptz", read);
            }
            default -> Stack.tell("asked", type);
        }
    }

    private DeviceResponse catalogue(String number) {
        List<DeviceItem> items = new ArrayList<>();
        for (int index = 1; index <= 2; index++) {
            String id = stack.id.substring(0, 10) + "131000900" + index;
            DeviceItem item = DeviceItem.getInstanceExample(id);
            item.setDeviceId(id);
            item.setName("枪机 " + index);
            item.setParentId(stack.id);
            items.add(item);
        }
        DeviceResponse response = new DeviceResponse("Catalog", number, stack.id);
        response.setSumNum(items.size());
        response.setDeviceItemList(items);
        return response;
    }

    private void invited(RequestEvent event) throws Exception {
        String offer = Stack.text(event.getRequest());
        Stack.tell("invited", offer);
        String ssrc = offer.replaceAll("(?s).*y=(\\d+).*", "$1");
        String answer =
                "v=0\r\no=" + stack.id + " 0 0 IN IP4 127.0.0.1\r\ns=Play\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                        + "m=video 40000 RTP/AVP 96\r\na=sendonly\r\na=rtpmap:96 PS/90000\r\ny=" + ssrc + "\r\n";
        stack.answer(event, 200, answer, "application/sdp");
    }

    private void subscribed(RequestEvent event) throws Exception {
        Response response = stack.messages.createResponse(200, event.getRequest());
        ExpiresHeader asked = event.getRequest().getExpires();
        response.addHeader(stack.headers.createExpiresHeader(asked == null ? 600 : asked.getExpires()));
        response.addHeader(stack.contact());
        stack.transactionOf(event).sendResponse(response);
        Dialog dialog = event.getDialog();
        Stack.tell("subscribed", Stack.element(Stack.text(event.getRequest()), "CmdType"), "dialog", dialog != null);
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
