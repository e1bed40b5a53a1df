//! A host with a bridge and a container, and the names process between them.

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RecordType},
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sampan_names::{Entry, NetworkEntry, ensure_running, publish, publish_network};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::fd::AsFd,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Environment variable with the directory of a process that a test starts.
pub(crate) const DIRECTORY: &str = "SAMPAN_TEST_NAMES";
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long one answer is waited for. Datagrams may be lost, as when a socket changes hands.
const ANSWER: Duration = Duration::from_secs(2);

/// A network namespace, kept by a process that sleeps in it.
pub(crate) struct Namespace(Child);

impl Namespace {
    pub(crate) fn new() -> Self {
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let child = Command::new("unshare").args(["--net", "sleep", "300"]).spawn().unwrap();
        let link = format!("/proc/{}/ns/net", child.id());
        until("a network namespace", || fs::read_link(&link).is_ok_and(|namespace| namespace != own));
        let namespace = Self(child);
        namespace.sh("ip link set lo up");
        namespace
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Runs `work` inside, on a thread of its own; sockets that it opens stay inside.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/proc/{}/ns/net", self.pid())).unwrap();
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a script inside and gives what it prints.
    pub(crate) fn sh(&self, script: &str) -> String {
        self.run(|| {
            let output = Command::new("sh").args(["-ec", script]).stdin(Stdio::null()).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{script}: {errors}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A host with the bridge of one network, `net`, and a container on it.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) host: Namespace,
    pub(crate) container: Namespace,
}

impl World {
    /// With the container's endpoint `db` published and the process running; `/etc/resolv.conf` says `resolvers`.
    pub(crate) fn new(resolvers: &str) -> Self {
        let world = Self::without_process(resolvers);
        publish(world.dir.path(), "net", ID, &entry("db", 2)).unwrap();
        world.start();
        world
    }

    pub(crate) fn without_process(resolvers: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (host, container) = (Namespace::new(), Namespace::new());
        host.sh("ip link add sampan0 type bridge; echo 0 > /proc/sys/net/ipv6/conf/sampan0/accept_dad
             ip addr add 10.77.3.1/24 dev sampan0; ip addr add fd77:1:2:3::1/64 dev sampan0 nodad
             ip link set sampan0 up");
        wire(&host, &container, 2);
        container.sh("ip addr add 10.77.3.2/24 dev eth0; ip addr add fd77:1:2:3::2/64 dev eth0 nodad");
        fs::write(dir.path().join("resolv.conf"), resolvers).unwrap();
        publish_network(dir.path(), "net", &network()).unwrap();
        Self { dir, host, container }
    }

    /// Starts the process as an engine does.
    pub(crate) fn start(&self) {
        let dir = self.dir.path().to_str().unwrap();
        let program = std::env::current_exe().unwrap();
        let script = format!(
            "mount --bind {dir}/resolv.conf /etc/resolv.conf
             {DIRECTORY}={dir} exec {} --ignored --exact process",
            program.display()
        );
        let words = ["unshare", "--mount", "sh", "-ec", &script].map(str::to_owned);
        self.host.run(|| ensure_running(self.dir.path(), &words).unwrap());
        until("the names process", || self.process().is_some());
    }

    /// The process that holds the lock.
    pub(crate) fn process(&self) -> Option<u32> {
        let wanted = format!("{DIRECTORY}={}", self.dir.path().display());
        let lock = self.dir.path().join("lock");
        fs::read_dir("/proc").unwrap().flatten().find_map(|process| {
            let environment = fs::read(process.path().join("environ")).ok()?;
            environment.split(|byte| *byte == 0).find(|variable| *variable == wanted.as_bytes())?;
            let mut open = fs::read_dir(process.path().join("fd")).ok()?.flatten();
            open.find(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == lock))?;
            process.file_name().to_str()?.parse().ok()
        })
    }

    pub(crate) fn kill(&self) {
        if let Some(pid) = self.process() {
            Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
            until("the process's end", || is_unlocked(self.dir.path()));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) const ID: &str = "0123456789abcdef";

pub(crate) fn network() -> NetworkEntry {
    NetworkEntry {
        bridge: "sampan0".into(),
        ipv4: "10.77.3.0/24".parse().unwrap(),
        ipv4_gateway: "10.77.3.1".parse().unwrap(),
        ipv6: Some("fd77:1:2:3::/64".parse().unwrap()),
        ipv6_gateway: Some("fd77:1:2:3::1".parse().unwrap()),
    }
}

pub(crate) fn entry(name: &str, number: u8) -> Entry {
    Entry {
        name: name.into(),
        hostname: format!("{name}-host"),
        aliases: Vec::new(),
        ipv4: format!("10.77.3.{number}").parse().unwrap(),
        ipv6: Some(format!("fd77:1:2:3::{number}").parse().unwrap()),
        mac: [2, 0x5a, 10, 77, 3, number],
    }
}

/// A link `eth0` in the namespace, on the host's bridge, with the link-layer address of the entry with this number.
pub(crate) fn wire(host: &Namespace, container: &Namespace, number: u8) {
    let pid = container.pid();
    host.sh(&format!("ip link add port{number} master sampan0 up type veth peer name eth0 netns {pid}"));
    container.sh(&format!("ip link set eth0 address 02:5a:0a:4d:03:{number:02x} up"));
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.id = 4711;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

/// Asks over UDP from where the thread is.
pub(crate) fn ask_udp(server: SocketAddr, question: &Message) -> io::Result<Message> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(ANSWER))?;
    socket.send(&question.to_vec().unwrap())?;
    let mut bytes = vec![0; 65535];
    let length = socket.recv(&mut bytes)?;
    Ok(Message::from_vec(&bytes[..length]).unwrap())
}

/// Asks over TCP from where the thread is.
pub(crate) fn ask_tcp(server: SocketAddr, question: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let bytes = question.to_vec().unwrap();
    stream.write_all(&[&(bytes.len() as u16).to_be_bytes(), bytes.as_slice()].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut bytes)?;
    Ok(Message::from_vec(&bytes).unwrap())
}

/// The answer's records and response code.
pub(crate) fn data(answer: &Message) -> (Vec<String>, ResponseCode) {
    let records = answer.answers.iter().map(|record| record.data.to_string()).collect();
    (records, answer.metadata.response_code)
}

/// Asks again until an answer comes: the process has only been started.
pub(crate) fn ask(world: &World, server: &str, name: &str, kind: RecordType) -> (Vec<String>, ResponseCode) {
    let (server, question) = (server.parse().unwrap(), question(name, kind));
    let mut answer = None;
    world.container.run(|| {
        until("an answer", || {
            answer = ask_udp(server, &question).ok();
            answer.is_some()
        });
    });
    data(&answer.unwrap())
}

/// Whether a file has gone or a process has let it go.
pub(crate) fn is_unlocked(dir: &Path) -> bool {
    use rustix::process::{Flock, FlockType, fcntl_getlk};
    let lock = File::open(dir.join("lock")).unwrap();
    fcntl_getlk(&lock, &Flock::from(FlockType::WriteLock)).unwrap().is_none()
}
