package peers;

import com.alibaba.fastjson2.JSON;
import java.nio.charset.Charset;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import javax.sip.ClientTransaction;
import javax.sip.Dialog;
import javax.sip.ListeningPoint;
import javax.sip.RequestEvent;
import javax.sip.ServerTransaction;
import javax.sip.SipFactory;
import javax.sip.SipListener;
import javax.sip.SipProvider;
import javax.sip.SipStack;
import javax.sip.address.Address;
import javax.sip.address.AddressFactory;
import javax.sip.address.SipURI;
import javax.sip.header.AuthorizationHeader;
import javax.sip.header.ContactHeader;
import javax.sip.header.FromHeader;
import javax.sip.header.HeaderFactory;
import javax.sip.header.ViaHeader;
import javax.sip.header.WWWAuthenticateHeader;
import javax.sip.message.MessageFactory;
import javax.sip.message.Request;
import javax.sip.message.Response;

/** One JAIN-SIP stack on 127.0.0.1, and the few requests both roles send. */
final class Stack {
    static final Charset GB18030 = Charset.forName("GB18030");

    final SipProvider provider;
    final AddressFactory addresses;
    final HeaderFactory headers;
    final MessageFactory messages;
    final String id;
    final String domain;
    final String transport;
    final int port;
    private final AtomicLong cseq = new AtomicLong();

    Stack(String id, String domain, String transport, int port, SipListener listener) throws Exception {
        this.id = id;
        this.domain = domain;
        this.transport = transport;
        this.port = port;
        Properties properties = new Properties();
        properties.setProperty("javax.sip.STACK_NAME", "peer-" + id);
        properties.setProperty("javax.sip.AUTOMATIC_DIALOG_SUPPORT", "ON");
        properties.setProperty("gov.nist.javax.sip.TRACE_LEVEL", "0");
        properties.setProperty("gov.nist.javax.sip.DELIVER_UNSOLICITED_NOTIFY", "true");
        SipFactory factory = SipFactory.getInstance();
        factory.setPathName("gov.nist");
        SipStack stack = factory.createSipStack(properties);
        ListeningPoint point = stack.createListeningPoint("127.0.0.1", port, transport);
        provider = stack.createSipProvider(point);
        provider.addSipListener(listener);
        addresses = factory.createAddressFactory();
        headers = factory.createHeaderFactory();
        messages = factory.createMessageFactory();
    }

    static synchronized void tell(Object... pairs) {
        Map<String, Object> line = new java.util.LinkedHashMap<>();
        for (int index = 0; index < pairs.length; index += 2) {
            line.put((String) pairs[index], pairs[index + 1]);
        }
        System.out.println(JSON.toJSONString(line));
        System.out.flush();
    }

    /** A request outside a dialog, to `target` at `host`:`toPort`. */
    Request request(String method, String target, String host, int toPort, String body, String type) throws Exception {
        SipURI uri = addresses.createSipURI(target, host + ":" + toPort);
        uri.setTransportParam(transport);
        Address from = addresses.createAddress(addresses.createSipURI(id, domain));
        Address to = addresses.createAddress(addresses.createSipURI(target, domain));
        FromHeader fromHeader = headers.createFromHeader(from, Long.toHexString(System.nanoTime()));
        List<ViaHeader> vias = new ArrayList<>();
        vias.add(headers.createViaHeader("127.0.0.1", port, transport, null));
        Request request =
                messages.createRequest(
                        uri,
                        method,
                        provider.getNewCallId(),
                        headers.createCSeqHeader(cseq.incrementAndGet(), method),
                        fromHeader,
                        headers.createToHeader(to, null),
                        vias,
                        headers.createMaxForwardsHeader(70));
        request.addHeader(contact());
        setBody(request, body, type);
        return request;
    }

    ContactHeader contact() throws Exception {
        SipURI uri = addresses.createSipURI(id, "127.0.0.1:" + port);
        uri.setTransportParam(transport);
        return headers.createContactHeader(addresses.createAddress(uri));
    }

    void setBody(javax.sip.message.Message message, String body, String type) throws Exception {
        if (body != null) {
            String[] parts = type.split("/");
            message.setContent(body.getBytes(GB18030), headers.createContentTypeHeader(parts[0], parts[1]));
        }
    }

    ClientTransaction send(Request request) throws Exception {
        ClientTransaction transaction = provider.getNewClientTransaction(request);
        transaction.sendRequest();
        return transaction;
    }

    ClientTransaction sendIn(Dialog dialog, String method, String body, String type) throws Exception {
        Request request = dialog.createRequest(method);
        setBody(request, body, type);
        ClientTransaction transaction = provider.getNewClientTransaction(request);
        dialog.sendRequest(transaction);
        return transaction;
    }

    ServerTransaction transactionOf(RequestEvent event) throws Exception {
        ServerTransaction known = event.getServerTransaction();
        return known != null ? known : provider.getNewServerTransaction(event.getRequest());
    }

    void answer(RequestEvent event, int status, String body, String type) throws Exception {
        Response response = messages.createResponse(status, event.getRequest());
        if (body != null) {
            response.addHeader(contact());
        }
        setBody(response, body, type);
        transactionOf(event).sendResponse(response);
    }

    static String text(javax.sip.message.Message message) {
        byte[] raw = message.getRawContent();
        return raw == null ? "" : new String(raw, GB18030);
    }

    /** The Authorization that answers a 401. */
    AuthorizationHeader answerTo(WWWAuthenticateHeader challenge, Request request, String password) throws Exception {
        String uri = request.getRequestURI().toString();
        String secret = md5(id + ":" + challenge.getRealm() + ":" + password);
        String about = md5(request.getMethod() + ":" + uri);
        AuthorizationHeader header = headers.createAuthorizationHeader("Digest");
        header.setUsername(id);
        header.setRealm(challenge.getRealm());
        header.setNonce(challenge.getNonce());
        header.setURI(request.getRequestURI());
        header.setAlgorithm("MD5");
        if (challenge.getQop() != null) {
            header.setQop("auth");
            header.setCNonce("0a4f113b");
            header.setNonceCount(1);
            header.setResponse(md5(secret + ":" + challenge.getNonce() + ":00000001:0a4f113b:auth:" + about));
        } else {
            header.setResponse(md5(secret + ":" + challenge.getNonce() + ":" + about));
        }
        return header;
    }

    static String md5(String text) throws Exception {
        StringBuilder hex = new StringBuilder();
        for (byte each : MessageDigest.getInstance("MD5").digest(text.getBytes(GB18030))) {
            hex.append(String.format("%02x", each));
        }
        return hex.toString();
    }

    static String element(String xml, String name) {
        java.util.regex.Matcher found =
                java.util.regex.Pattern.compile("<" + name + ">\\s*([^<]*?)\\s*</" + name + ">").matcher(xml);
        return found.find() ? found.group(1) : "";
    }
}
