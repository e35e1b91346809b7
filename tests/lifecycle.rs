//! The server as a process: how it starts, whom it tells, what it says when it cannot start, how it ends.

mod support;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use support::client::TIMEOUT;
use support::server::Server;

/// Runs the program to its end.
fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_corelane")).args(args).output().expect("the program can be started")
}

/// What a run that has to fail says.
fn failure(args: &[&str]) -> String {
    let output = run(args);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(!output.status.success(), "{args:?} has to fail:\n{text}");
    text
}

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn version() {
    let output = run(&["--version"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("Redis server v=7.4.1 "), "{text}");
}

#[test]
fn sigterm_stops_cleanly() {
    for shards in ["1", "2"] {
        let args = ["--save", "", "--shards", shards, "--pidfile", "pid", "--unixsocket", "sock"];
        let mut server = Server::start(&args);
        let (pidfile, socket) = (server.folder().join("pid"), server.folder().join("sock"));
        assert_eq!(fs::read_to_string(&pidfile).unwrap(), format!("{}\n", server.pid()));
        assert!(socket.exists());
        // Idle clients, and one with a command under way, are no reason to stay.
        let mut clients: Vec<_> = (0..20).map(|_| server.client()).collect();
        clients[0].send(&["CLIENT", "PAUSE", "100000"]).unwrap();
        clients[1].send(&["SET", "k", "v"]).unwrap();
        server.signal("TERM");
        assert_eq!(server.wait(TIMEOUT).code(), Some(0), "{}", server.log());
        assert!(!pidfile.exists() && !socket.exists(), "files are left over");
        let log = server.log();
        assert!(log.contains("Received SIGTERM scheduling shutdown..."), "{log}");
        assert!(log.contains("Redis is now ready to exit, bye bye..."), "{log}");
    }
}

#[test]
fn systemd_is_told() {
    let folder = folder("notify");
    let path = folder.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let port = support::server::free_port().to_string();
    let mut server = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(["--port", &port, "--bind", "127.0.0.1", "--supervised", "systemd", "--shards", "2"])
        .env("NOTIFY_SOCKET", &path)
        .current_dir(&folder)
        .stdout(fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap();
    let told = |word: &str| {
        let mut text = [0; 4096];
        loop {
            let length = socket.recv(&mut text).unwrap_or_else(|error| panic!("{word}: {error}"));
            if text[..length].split(|&byte| byte == b'\n').any(|line| line == word.as_bytes()) {
                return;
            }
        }
    };
    told("READY=1");
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    assert!(support::client::Client::connect(address).is_ok(), "it is ready when it says so");
    let pid = server.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    told("STOPPING=1");
    assert_eq!(server.wait().unwrap().code(), Some(0));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_second_server_on_a_port_fails() {
    let server = Server::start(&["--save", "", "--shards", "2"]);
    let port = server.address().port().to_string();
    let folder = folder("second");
    let pidfile = folder.join("pid");
    // The file of the first server, say.
    fs::write(&pidfile, "1\n").unwrap();
    let pidfile_arg = pidfile.to_str().unwrap();
    let text = failure(&["--port", &port, "--bind", "127.0.0.1", "--shards", "2", "--pidfile", pidfile_arg]);
    let wanted = format!(
        "Warning: Could not create server TCP listening socket 127.0.0.1:{port}: bind: Address already in use"
    );
    assert!(text.contains(&wanted), "{text}");
    assert!(text.contains(&format!("Failed listening on port {port} (tcp), aborting.")), "{text}");
    assert!(pidfile.exists(), "it has removed the file of another");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn errors_in_the_configuration_name_the_line() {
    let folder = folder("broken");
    let file = folder.join("broken.conf");
    fs::write(&file, "# a comment\nport 0\nmaxclients many\n").unwrap();
    let text = failure(&[file.to_str().unwrap()]);
    assert!(text.contains("*** FATAL CONFIG FILE ERROR (Redis 7.4.1) ***"), "{text}");
    assert!(text.contains("Reading the configuration file, at line 3\n>>> 'maxclients many'"), "{text}");
    fs::remove_dir_all(folder).unwrap();
}

/// The replies that were ready when the server was told to stop reach their clients.
#[test]
fn shutdown_sends_what_is_ready() {
    for shards in ["1", "2"] {
        let mut server = Server::start(&["--save", "", "--shards", shards]);
        let mut client = server.client();
        client.send_raw(b"ECHO last\r\nSHUTDOWN NOSAVE\r\n").unwrap();
        assert_eq!(client.read().unwrap(), support::resp::Value::bulk("last"));
        assert_eq!(server.wait(Duration::from_secs(20)).code(), Some(0));
    }
}
