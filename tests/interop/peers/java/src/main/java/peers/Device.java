package peers;

import io.github.lunasaw.gb28181.common.entity.control.instruction.serializer.PTZInstructionSerializer;
import io.github.lunasaw.gb28181.common.entity.notify.DeviceKeepLiveNotify;
import io.github.lunasaw.gb28181.common.entity.response.DeviceInfo;
import io.github.lunasaw.gb28181.common.entity.response.DeviceItem;
import io.github.lunasaw.gb28181.common.entity.response.DeviceResponse;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.sip.Dialog;
import javax.sip.DialogTerminatedEvent;
import javax.sip.IOExceptionEvent;
import javax.sip.RequestEvent;
import javax.sip.ResponseEvent;
import javax.sip.ServerTransaction;
import javax.sip.SipListener;
import javax.sip.TimeoutEvent;
import javax.sip.TransactionTerminatedEvent;
import javax.sip.header.CSeqHeader;
import javax.sip.header.CallIdHeader;
import javax.sip.header.ExpiresHeader;
import javax.sip.header.WWWAuthenticateHeader;
import javax.sip.message.Request;
import javax.sip.message.Response;

/**
 * A recorder with two cameras: registers, keeps alive, answers, takes calls and subscriptions.
 *
 * With a file it sends that program stream to who calls. The lines `off` and `alarm` on its input let it notify.
 */
final class Device implements SipListener {
    private final Stack stack;
    private final String serverId;
    private final int serverPort;
    private final String password;
    private final Path file;
    private final Map<String, Dialog> subscriptions = new ConcurrentHashMap<>();
    private final Map<String, Media> calls = new ConcurrentHashMap<>();
    private final ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor();
    private int sn;
    private int expires = 3600;

    Device(String[] a) throws Exception {
        // id domain transport port serverId serverPort password [file]
        stack = new Stack(a[0], a[1], a[2], Integer.parseInt(a[3]), this);
        serverId = a[4];
        serverPort = Integer.parseInt(a[5]);
        password = a[6];
        file = a.length > 7 ? Path.of(a[7]) : null;
    }

    void run() throws Exception {
        register(null, null);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null && !line.equals("quit"); line = input.readLine()) {
            switch (line) {
                case "off" -> notify("Catalog", change("OFF"));
                case "alarm" -> notify("Alarm", ALARM);
                default -> Stack.tell("unknown", line);
            }
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
                    Media ended = calls.remove(callId(request));
                    if (ended != null) {
                        ended.close();
                    }
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

    private static String callId(Request request) {
        return ((CallIdHeader) request.getHeader("Call-ID")).getCallId();
    }

    private void invited(RequestEvent event) throws Exception {
        String offer = Stack.text(event.getRequest());
        Stack.tell("invited", offer);
        String ssrc = part(offer, "y=(\\d+)");
        String setup = part(offer, "a=setup:(\\w+)");
        int port = 40000;
        if (file != null) {
            int to = Integer.parseInt(part(offer, "m=video (\\d+)"));
            Media media = new Media(file, Integer.parseInt(ssrc), part(offer, "c=IN IP4 (\\S+)"), to, setup);
            calls.put(callId(event.getRequest()), media);
            port = media.port();
            media.start();
        }
        String role = setup.equals("active") ? "passive" : "active";
        String answer =
                "v=0\r\no=" + stack.id + " 0 0 IN IP4 127.0.0.1\r\ns=Play\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                        + "m=video " + port + (setup.isEmpty() ? " RTP/AVP 96\r\n" : " TCP/RTP/AVP 96\r\n")
                        + (setup.isEmpty() ? "" : "a=setup:" + role + "\r\na=connection:new\r\n")
                        + "a=sendonly\r\na=rtpmap:96 PS/90000\r\ny=" + ssrc + "\r\n";
        stack.answer(event, 200, answer, "application/sdp");
    }

    private static String part(String text, String pattern) {
        Matcher found = Pattern.compile(pattern).matcher(text);
        return found.find() ? found.group(1) : "";
    }

    private void subscribed(RequestEvent event) throws Exception {
        ServerTransaction transaction = stack.transactionOf(event);
        Response response = stack.messages.createResponse(200, event.getRequest());
        ExpiresHeader asked = event.getRequest().getExpires();
        int expires = asked == null ? 600 : asked.getExpires();
        response.addHeader(stack.headers.createExpiresHeader(expires));
        response.addHeader(stack.contact());
        transaction.sendResponse(response);
        String type = Stack.element(Stack.text(event.getRequest()), "CmdType");
        Dialog dialog = transaction.getDialog();
        if (dialog != null) {
            subscriptions.put(type, dialog);
        }
        Stack.tell("subscribed", type, "dialog", dialog != null, "expires", expires);
    }

    private static final String ALARM =
            "<AlarmPriority>2</AlarmPriority><AlarmMethod>5</AlarmMethod>"
                    + "<AlarmTime>2026-01-01T00:00:00</AlarmTime><AlarmDescription>移动</AlarmDescription>";

    /** What the catalogue's subscriber is told of the first camera. */
    private String change(String event) {
        return "<SumNum>1</SumNum><DeviceList Num=\"1\"><Item><DeviceID>" + stack.id.substring(0, 10) + "1310009001"
                + "</DeviceID><Event>" + event + "</Event></Item></DeviceList>";
    }

    private void notify(String type, String rest) throws Exception {
        String body = "<?xml version=\"1.0\" encoding=\"GB2312\"?>\r\n<Notify><CmdType>" + type + "</CmdType><SN>" + ++sn
                + "</SN><DeviceID>" + stack.id + "</DeviceID>" + rest + "</Notify>\r\n";
        Dialog dialog = subscriptions.get(type);
        Request request = dialog.createRequest(Request.NOTIFY);
        request.addHeader(stack.headers.createEventHeader("presence"));
        request.addHeader(stack.headers.createSubscriptionStateHeader("active"));
        stack.setBody(request, body, "Application/MANSCDP+xml");
        dialog.sendRequest(stack.provider.getNewClientTransaction(request));
        Stack.tell("notified", type);
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
