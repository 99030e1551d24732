import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import org.apache.cassandra.tools.INodeProbeFactory;
import org.apache.cassandra.tools.NodeProbe;
import org.apache.cassandra.tools.NodeTool;
import org.apache.cassandra.tools.Output;

/**
 * Cassandra's nodetool without its start: one JVM runs the commands that come, a line each, on a
 * port of loopback. What it answers: the exit status, a line break, what nodetool said.
 */
public class Tool {
    public static void main(String[] arguments) throws Exception {
        try (ServerSocket server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            System.out.println("port " + server.getLocalPort());
            while (true) {
                Socket client = server.accept();
                new Thread(() -> answer(client)).start();
            }
        }
    }

    private static void answer(Socket client) {
        try (client) {
            String line = new BufferedReader(new InputStreamReader(client.getInputStream())).readLine();
            ByteArrayOutputStream said = new ByteArrayOutputStream();
            PrintStream to = new PrintStream(said);
            Output output = new Output(to, to);
            NodeTool tool = new NodeTool(new Probes(output), output);
            int status = tool.execute(line.split(" "));
            OutputStream out = client.getOutputStream();
            out.write((status + "\n").getBytes());
            said.writeTo(out);
        } catch (Exception error) {
            // The client sees a connection that ends without a status.
            error.printStackTrace();
        }
    }

    /** Cassandra 6 does not tell a probe itself where to write. */
    private record Probes(Output output) implements INodeProbeFactory {
        public NodeProbe create(String host, int port) throws IOException {
            return told(new NodeProbe(host, port));
        }

        public NodeProbe create(String host, int port, String user, String password)
                throws IOException {
            return told(new NodeProbe(host, port, user, password));
        }

        private NodeProbe told(NodeProbe probe) {
            probe.setOutput(output);
            return probe;
        }
    }
}
