//! The parameters of Redis 7.4 that have no effect here: checked, kept and shown, so that files and tools
//! written for Redis work.

use super::{Kind, Parameter, Place, Unit, check, rows, special};

pub(super) static PARAMETERS: &[Parameter] = rows! {
    // Network and process.

    /// Address that outgoing connections come from.
    "bind-source-addr": text = "";
    /// Mark of the listening sockets.
    "socket-mark-id": number(0, u32::MAX) = "0", FIXED;
    /// Connections accepted in one turn of the event loop.
    "max-new-connections-per-cycle": number(1, 1000) = "10";
    /// TLS connections accepted in one turn of the event loop.
    "max-new-tls-connections-per-cycle": number(1, 1000) = "1";
    /// Memory of all connections together, in bytes or per cent of `maxmemory`.
    "maxmemory-clients": memory_or_percent(-100, i64::MAX) = "0";
    /// Threads for reading and writing; use `shards`.
    "io-threads": number(1, 128) = "1", FIXED;
    /// Whether those threads read, too.
    "io-threads-do-reads": yes_no = "no", FIXED;
    /// Cores of the main thread; use `core-list`.
    "server-cpulist" | "server_cpulist": text = "", FIXED;
    /// Cores of background threads.
    "bio-cpulist" | "bio_cpulist": text = "", FIXED;
    /// Cores of the process that rewrites the append only file.
    "aof-rewrite-cpulist" | "aof_rewrite_cpulist": text = "", FIXED;
    /// Cores of the process that writes snapshots.
    "bgsave-cpulist" | "bgsave_cpulist": text = "", FIXED;
    /// Log to syslog.
    "syslog-enabled": yes_no = "no", FIXED;
    /// Name in syslog.
    "syslog-ident": text = "redis", FIXED;
    /// Facility in syslog.
    "syslog-facility": choice("user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7")
        = "local0", FIXED;
    /// Print the logo at the start.
    "always-show-logo": yes_no = "no", FIXED;
    /// Change the title of the process.
    "set-proc-title": yes_no = "yes", FIXED;
    /// Template of the title of the process.
    "proc-title-template": text(check::title_template) = "{title} {listen-addr} {server-mode}";
    /// Locale of `SORT ... ALPHA`.
    "locale-collate": text = "";
    /// Warnings about the machine that are ignored.
    "ignore-warnings": text = "";
    /// Log registers and stack on a crash.
    "crash-log-enabled": yes_no = "yes";
    /// Test the memory on a crash.
    "crash-memcheck-enabled": yes_no = "yes";
    /// Exit instead of aborting on a panic.
    "use-exit-on-panic": yes_no = "no", HIDDEN;
    /// Keep keys and values out of the log.
    "hide-user-data-from-log": yes_no = "no";
    /// Milliseconds without progress after which the stack is logged.
    "watchdog-period": number(0, i32::MAX) = "0", HIDDEN;
    /// Turn off transparent huge pages.
    /// Adjust which process the kernel kills when memory runs out.
    "oom-score-adj": kept(special::oom_score_adj) = "no";
    /// The adjustments for master, replica and background processes.
    "oom-score-adj-values": kept(special::oom_score_adj_values) = "0 200 800", MULTI;
    /// What `SIGINT` does.
    "shutdown-on-sigint": kept(special::shutdown_options) = "default", MULTI;
    /// What `SIGTERM` does.
    "shutdown-on-sigterm": kept(special::shutdown_options) = "default", MULTI;
    /// Seconds a shutdown waits for replicas.
    "shutdown-timeout": number(0, i32::MAX) = "10";

    // Memory.

    /// Readiness to evict for long, 0 to 100.
    "maxmemory-eviction-tenacity": number(0, 100) = "10";
    /// Grow hash tables in the background.
    "activerehashing": yes_no = "yes";
    /// Let jemalloc purge in a thread.
    "jemalloc-bg-thread": yes_no = "yes";
    /// Defragment memory.
    "activedefrag": yes_no(check::defragmentation) = "no";
    /// Least per cent of CPU time for defragmentation.
    "active-defrag-cycle-min": number(1, 99) = "1";
    /// Most per cent of CPU time for defragmentation.
    "active-defrag-cycle-max": number(1, 99) = "25";
    /// Per cent of fragmentation at which defragmentation begins.
    "active-defrag-threshold-lower": number(0, 1000) = "10";
    /// Per cent of fragmentation at which it takes all its time.
    "active-defrag-threshold-upper": number(0, 1000) = "100";
    /// Elements from which a value is defragmented in steps.
    "active-defrag-max-scan-fields": number(1, i64::MAX) = "1000";
    /// Bytes of fragmentation below which nothing is done.
    "active-defrag-ignore-bytes": memory(1, i64::MAX) = "104857600";

    // Access and scripts.

    /// File with the users.
    "aclfile": text(check::acl_file) = "", FIXED;
    /// Entries of the ACL log.
    "acllog-max-len": number(0, i64::MAX) = "128";
    /// Channels that new users may use.
    "acl-pubsub-default": choice("allchannels", "resetchannels") = "resetchannels";
    /// Check the structure of values that are restored.
    "sanitize-dump-payload": choice("no", "yes", "clients") = "no";

    // Snapshots and the append only file.

    /// Remove snapshots that only replication needed.
    "rdb-del-sync-files": yes_no = "no";
    /// Sync snapshots piece by piece.
    "rdb-save-incremental-fsync": yes_no = "yes";
    /// Bytes loaded between two looks at the network.
    "loading-process-events-interval-bytes": number(1024, i32::MAX) = "2097152", HIDDEN;
    /// Begin a rewritten file with a snapshot; it always does.
    "aof-use-rdb-preamble": yes_no = "yes";
    /// Sync a rewritten file piece by piece.
    "aof-rewrite-incremental-fsync": yes_no = "yes";

    // Replication.

    /// Host and port of the master.
    "replicaof" | "slaveof": kept(special::replica_of) = "", FIXED, MULTI;
    /// User to log in to the master with.
    "masteruser": text = "", SENSITIVE;
    /// Password to log in to the master with.
    "masterauth": text = "", SENSITIVE;
    /// Answer while the link to the master is down.
    "replica-serve-stale-data" | "slave-serve-stale-data": yes_no = "yes";
    /// Refuse writes on a replica.
    "replica-read-only" | "slave-read-only": yes_no = "yes";
    /// Leave eviction to the master.
    "replica-ignore-maxmemory" | "slave-ignore-maxmemory": yes_no = "yes";
    /// Go on when a replica cannot write its files.
    "replica-ignore-disk-write-errors": yes_no = "no";
    /// Empty the data set in the background before a full sync.
    "replica-lazy-flush" | "slave-lazy-flush": yes_no = "no";
    /// Rank of a replica when a new master is chosen; 0 for never.
    "replica-priority" | "slave-priority": number(0, i32::MAX) = "100";
    /// Be listed by Sentinel.
    "replica-announced": yes_no = "yes";
    /// Address a replica tells its master.
    "replica-announce-ip" | "slave-announce-ip": text = "";
    /// Port a replica tells its master.
    "replica-announce-port" | "slave-announce-port": number(0, 65535) = "0";
    /// Seconds of silence after which a link is lost.
    "repl-timeout": number(1, i32::MAX) = "60";
    /// Seconds between two pings to replicas.
    "repl-ping-replica-period" | "repl-ping-slave-period": number(1, i32::MAX) = "10";
    /// Bytes of the stream kept for replicas that come back.
    "repl-backlog-size": memory(1, i64::MAX) = "1048576";
    /// Seconds after which a stream that nobody follows is dropped; 0 for never.
    "repl-backlog-ttl": number(0, i64::MAX) = "3600";
    /// Gather small packets on links to replicas.
    "repl-disable-tcp-nodelay": yes_no = "no";
    /// Send snapshots without a file.
    "repl-diskless-sync": yes_no = "yes";
    /// Seconds to wait for more replicas before that.
    "repl-diskless-sync-delay": number(0, i32::MAX) = "5";
    /// Replicas after which the wait ends; 0 for no bound.
    "repl-diskless-sync-max-replicas": number(0, i32::MAX) = "0";
    /// Load snapshots from a master without a file.
    "repl-diskless-load": choice("disabled", "on-empty-db", "swapdb") = "disabled", NOT_LOADING;
    /// Replicas needed for a write.
    "min-replicas-to-write" | "min-slaves-to-write": number(0, i32::MAX) = "0";
    /// Seconds a replica may lag to count as one.
    "min-replicas-max-lag" | "min-slaves-max-lag": number(0, i32::MAX) = "10";
    /// What a replica does when a command of its master fails.
    "propagation-error-behavior": choice("ignore", "panic", "panic-on-replicas") = "ignore";

    // Cluster.

    /// Be a node of a cluster.
    "cluster-enabled": yes_no = "no", FIXED;
    /// File of the cluster's state.
    "cluster-config-file": text = "nodes.conf", FIXED;
    /// Port of the cluster's bus; 0 for 10000 above `port`.
    "cluster-port": number(0, 65535) = "0", FIXED;
    /// Milliseconds after which a silent node has failed.
    "cluster-node-timeout": number(0, i64::MAX) = "15000";
    /// Milliseconds between two pings.
    "cluster-ping-interval": number(0, i64::MAX) = "0", HIDDEN;
    /// Age of data, in node timeouts, from which a replica does not become master.
    "cluster-replica-validity-factor" | "cluster-slave-validity-factor": number(0, i32::MAX) = "10";
    /// Replicas that must stay with a master.
    "cluster-migration-barrier": number(0, i32::MAX) = "1";
    /// Let replicas move to masters without any.
    "cluster-allow-replica-migration": yes_no = "yes";
    /// Never become master by itself.
    "cluster-replica-no-failover" | "cluster-slave-no-failover": yes_no = "no";
    /// Refuse commands while some slots have no node.
    "cluster-require-full-coverage": yes_no = "yes";
    /// Answer reads while the cluster is down.
    "cluster-allow-reads-when-down": yes_no = "no";
    /// Publish to shard channels while the cluster is down.
    "cluster-allow-pubsubshard-when-down": yes_no = "yes";
    /// Bytes queued for another node; 0 for no limit.
    "cluster-link-sendbuf-limit": memory(0, u64::MAX) = "0";
    /// Address told to other nodes.
    "cluster-announce-ip": text = "";
    /// Port told to other nodes.
    "cluster-announce-port": number(0, 65535) = "0";
    /// TLS port told to other nodes.
    "cluster-announce-tls-port": number(0, 65535) = "0";
    /// Port of the bus told to other nodes.
    "cluster-announce-bus-port": number(0, 65535) = "0";
    /// Host name told to other nodes.
    "cluster-announce-hostname": text(check::hostname) = "";
    /// Name of the node for people.
    "cluster-announce-human-nodename": text(check::node_name) = "";
    /// What clients are sent to.
    "cluster-preferred-endpoint-type": choice("ip", "hostname", "unknown-endpoint") = "ip";

    // TLS.

    /// Port for TLS; 0 for none.
    "tls-port": number(0, 65535) = "0";
    /// Certificate of the server.
    "tls-cert-file": text = "";
    /// Key of that certificate.
    "tls-key-file": text = "";
    /// Password of that key.
    "tls-key-file-pass": text = "", SENSITIVE;
    /// Certificate for outgoing connections.
    "tls-client-cert-file": text = "";
    /// Key of that certificate.
    "tls-client-key-file": text = "";
    /// Password of that key.
    "tls-client-key-file-pass": text = "", SENSITIVE;
    /// Diffie-Hellman parameters.
    "tls-dh-params-file": text = "";
    /// Certificates of authorities, in one file.
    "tls-ca-cert-file": text = "";
    /// Certificates of authorities, in a folder.
    "tls-ca-cert-dir": text = "";
    /// Whether clients must have a certificate.
    "tls-auth-clients": choice("no", "yes", "optional") = "yes";
    /// TLS on links to masters.
    "tls-replication": yes_no = "no";
    /// TLS on the cluster's bus.
    "tls-cluster": yes_no = "no";
    /// Versions of TLS.
    "tls-protocols": text = "";
    /// Ciphers up to TLS 1.2.
    "tls-ciphers": text = "";
    /// Ciphers of TLS 1.3.
    "tls-ciphersuites": text = "";
    /// Prefer the server's order of ciphers.
    "tls-prefer-server-ciphers": yes_no = "no";
    /// Keep sessions.
    "tls-session-caching": yes_no = "yes";
    /// Sessions kept; 0 for no bound.
    "tls-session-cache-size": number(0, i32::MAX) = "20480";
    /// Seconds a session is kept.
    "tls-session-cache-timeout": number(0, i32::MAX) = "300";
};
