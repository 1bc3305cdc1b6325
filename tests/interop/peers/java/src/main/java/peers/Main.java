package peers;

import java.util.Arrays;

/** device ID DOMAIN TRANSPORT PORT SERVER_ID SERVER_PORT PASSWORD [PS_FILE] | platform ID DOMAIN TRANSPORT PORT PASSWORD MEDIA_FILE */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Exception {
        String[] rest = Arrays.copyOfRange(arguments, 1, arguments.length);
        if (arguments[0].equals("device")) {
            new Device(rest).run();
        } else {
            new Platform(rest).run();
        }
    }
}
