package nodes;

import java.io.Closeable;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * What every launcher does: reads its arguments, and keeps a node until the process is asked to end.
 *
 * Each argument is a setting, {@code key=value}; {@code plugins=A,B} names the plugin classes,
 * which lie on the class path instead of in a folder of modules.
 */
public final class Given {
    public final Map<String, String> settings = new LinkedHashMap<>();
    private final List<String> plugins = new ArrayList<>();

    public Given(String[] arguments) {
        for (var argument : arguments) {
            var pair = argument.split("=", 2);
            if (pair[0].equals("plugins")) {
                plugins.addAll(List.of(pair[1].split(",")));
            } else {
                settings.put(pair[0], pair[1]);
            }
        }
    }

    public <P> List<Class<? extends P>> plugins(Class<P> kind) throws ClassNotFoundException {
        var classes = new ArrayList<Class<? extends P>>();
        for (var name : plugins) {
            classes.add(Class.forName(name).asSubclass(kind));
        }
        return classes;
    }

    public interface Start {
        void start() throws Exception;
    }

    public interface Closed {
        boolean await(long time, TimeUnit unit) throws InterruptedException;
    }

    public static void run(Start start, Closeable node, Closed closed) throws Exception {
        var ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
                closed.await(15, TimeUnit.SECONDS);
            } catch (Exception error) {
                error.printStackTrace();
            }
            ended.countDown();
        }));
        start.start();
        ended.await();
    }
}
