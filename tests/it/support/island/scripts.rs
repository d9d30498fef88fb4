//! What runs on an island beside its engine.

/// Answers every TCP connect, and every datagram as a name server does.
pub(super) const RESPONDER: &str = r"
import socket, threading
tcp = socket.create_server(('::', 9), family=socket.AF_INET6, dualstack_ipv6=True)
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
udp.bind(('::', 9))
def take():
    while True:
        s, _ = tcp.accept()
        try: s.sendall(b'internet\n'); s.close()
        except OSError: pass
threading.Thread(target=take).start()
while True:
    asked, who = udp.recvfrom(4096)
    answer = b'\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc6\x33\x64\x50'
    udp.sendto(asked[:2] + b'\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00' + asked[12:] + answer, who)
";

/// Sends every port of every address to the responder.
pub(super) const REDIRECT: &str = "table inet internet {
    chain everything {
        type nat hook prerouting priority -100;
        meta l4proto { tcp, udp } redirect to :9
    }
}";

/// `left`: packets that go out by the uplink, made here or by a container.
/// `opened`: what containers send to the host, for itself or for others, but
/// answers: each first packet, datagram and echo request, before any firewall.
/// Neighbour discovery belongs to the links themselves.
pub(super) const COUNTERS: &str = "table inet island {
    counter left {}
    chain out {
        type filter hook postrouting priority 300;
        icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 137, 143 } accept
        oifname \"uplink\" counter name left
    }
}
table bridge island {
    counter opened {}
    chain from_containers {
        type filter hook input priority -300;
        icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 137, 143 } accept
        meta l4proto tcp tcp flags & (syn | ack) == syn counter name opened
        meta protocol { ip, ip6 } meta l4proto != tcp counter name opened
    }
}";

/// Lets programs elsewhere reach a port of this host by a socket.
pub(super) const RELAY: &str = r"
import socket, sys, threading
door = socket.socket(socket.AF_UNIX); door.bind(sys.argv[1]); door.listen(64)
def pump(one, other):
    try:
        while data := one.recv(65536): other.sendall(data)
    except OSError: pass
    for end in (one, other):
        try: end.shutdown(socket.SHUT_RDWR)
        except OSError: pass
while True:
    near, _ = door.accept()
    try: far = socket.create_connection(('127.0.0.1', int(sys.argv[2])), 5)
    except OSError: near.close(); continue
    for pair in ((near, far), (far, near)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
";
