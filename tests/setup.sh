# Installs what the tests need beside a Rust compiler, from the ordinary registries. Sourced.
#
# Sets PG_BIN (PostgreSQL's programs) and PYTHON (a Python with the packages of requirements.txt).
# Everything else goes below $SLUICE_CACHE, which may be kept between runs.

SLUICE_CACHE="${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}"
mkdir -p "$SLUICE_CACHE"
export SLUICE_CACHE
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$SLUICE_CACHE/target}"

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() {
    [ -n "${apt_updated:-}" ] || as_root apt-get update -qq
    apt_updated=1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

find_postgres() {
    PG_BIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
    [ -n "$PG_BIN" ] && [ -x "$PG_BIN/postgres" ] && [ -x "$PG_BIN/initdb" ]
}

setup_postgres() {
    if ! find_postgres; then
        # Without this the package makes a cluster and starts a server of its own.
        as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' |
            as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
        apt_install postgresql postgresql-client
        find_postgres || { echo "PostgreSQL could not be installed" >&2; return 1; }
    fi
    export PG_BIN
}

setup_python() {
    venv="$SLUICE_CACHE/venv"
    wanted="$1/requirements.txt"
    if ! cmp -s "$wanted" "$venv/requirements.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv" 2>/dev/null || {
            apt_install python3 python3-venv
            rm -rf "$venv"
            python3 -m venv "$venv"
        }
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
        cp "$wanted" "$venv/requirements.txt"
    fi
    PYTHON="$venv/bin/python"
    export PYTHON
}

# DuckDB with its extension for Iceberg, which comes by an older version than the tests have else.
setup_iceberg() {
    DUCKDB_ICEBERG="$SLUICE_CACHE/duckdb-iceberg"
    export DUCKDB_ICEBERG
    if [ ! -d "$DUCKDB_ICEBERG/duckdb_extension_iceberg" ]; then
        "$PYTHON" -m pip install --quiet --disable-pip-version-check --target "$DUCKDB_ICEBERG" \
            duckdb==1.5.5 duckdb-extension-avro==1.5.5 duckdb-extension-iceberg==1.5.5
    fi
}

# Cassandra's jars, and a Java to run them with. Sets CASSANDRA_LIB.
setup_cassandra() {
    CASSANDRA_LIB="$SLUICE_CACHE/cassandra/5.0.6"
    export CASSANDRA_LIB
    cassandra_jars 5.0.6
}

# Those of the version after it, whose files are read too. Sets CASSANDRA_NEXT_LIB.
setup_cassandra_next() {
    CASSANDRA_NEXT_LIB="$SLUICE_CACHE/cassandra/6.0-alpha2"
    export CASSANDRA_NEXT_LIB
    cassandra_jars 6.0-alpha2
}

# Those of the oldest version that is taken. Sets CASSANDRA_OLD_LIB.
setup_cassandra_old() {
    CASSANDRA_OLD_LIB="$SLUICE_CACHE/cassandra/4.1.9"
    export CASSANDRA_OLD_LIB
    cassandra_jars 4.1.9
}

cassandra_jars() {
    local version=$1 folder="$SLUICE_CACHE/cassandra"
    if ! java -version >/dev/null 2>&1 || ! mvn -version >/dev/null 2>&1; then
        apt_install openjdk-17-jdk-headless maven
    fi
    if [ ! -e "$folder/$version/cassandra-all-$version.jar" ]; then
        rm -rf "${folder:?}/$version"
        mkdir -p "$folder"
        cp compose/local/pom.xml "$folder/pom.xml"
        (cd "$folder" &&
            mvn --quiet --batch-mode dependency:copy-dependencies \
                -Dcassandra.version="$version" -DoutputDirectory="$version.part")
        mv "$folder/$version.part" "$folder/$version"
    fi
}

# Spark with its connector for Cassandra, which reads Sluice's tables too, and Iceberg, which reads
# their views. Sets SPARK_LIB.
setup_spark() {
    local spark=3.5.6 connector=3.5.1 iceberg=1.10.2 folder="$SLUICE_CACHE/spark"
    SPARK_LIB="$folder/$spark-$connector-$iceberg"
    export SPARK_LIB
    if [ ! -e "$SPARK_LIB/spark-cassandra-connector_2.12-$connector.jar" ]; then
        rm -rf "$SPARK_LIB"
        mkdir -p "$folder"
        cp tests/spark/pom.xml "$folder/pom.xml"
        (cd "$folder" &&
            mvn --quiet --batch-mode dependency:copy-dependencies -Dspark.version="$spark" \
                -Dconnector.version="$connector" -Diceberg.version="$iceberg" -DincludeScope=runtime \
                -DoutputDirectory="$SPARK_LIB.part")
        mv "$SPARK_LIB.part" "$SPARK_LIB"
    fi
}
