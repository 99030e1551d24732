import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.apache.spark.sql.SparkSession;

/**
 * Spark SQL over two catalogs: the connector's, `cluster`, and `views`, of Iceberg tables below a
 * folder. A statement a line in; its rows as JSON, a line each, and what ends them out. Arguments:
 * host, port, consistency; or the folder.
 */
public class Ask {
    public static void main(String[] arguments) throws Exception {
        // Nobody else writes between the lines of an answer.
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        SparkSession.Builder builder = SparkSession.builder()
            .master("local[*]").appName("ask")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.sql.jsonGenerator.ignoreNullFields", "false")
            .config("spark.sql.shuffle.partitions", Runtime.getRuntime().availableProcessors())
            .config("spark.sql.session.timeZone", "UTC");
        if (arguments.length == 1) {
            builder.config("spark.sql.catalog.views", "org.apache.iceberg.spark.SparkCatalog")
                .config("spark.sql.catalog.views.type", "hadoop")
                .config("spark.sql.catalog.views.cache-enabled", "false")
                .config("spark.sql.catalog.views.warehouse", arguments[0]);
        } else {
            builder.config("spark.sql.catalog.cluster",
                    "com.datastax.spark.connector.datasource.CassandraCatalog")
                .config("spark.cassandra.connection.host", arguments[0])
                .config("spark.cassandra.connection.port", arguments[1])
                .config("spark.cassandra.input.consistency.level", arguments[2]);
        }
        SparkSession spark = builder.getOrCreate();
        out.println("-- ready " + spark.version());
        BufferedReader in = new BufferedReader(
            new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String sql = in.readLine(); sql != null; sql = in.readLine()) {
            long began = System.nanoTime();
            try {
                for (String row : spark.sql(sql).toJSON().collectAsList()) {
                    out.println(row);
                }
                out.println("-- " + (System.nanoTime() - began) / 1e9);
            } catch (Exception trouble) {
                out.println("!! " + String.valueOf(trouble).replace('\n', ' '));
            }
        }
        spark.stop();
    }
}
