# Carries the node's docker API from the lab network to /run/docker.sock, one child per connection.
# systemd-socket-proxyd would do, but it drops a connection at the first end of file: `docker run -i` and
# `docker exec -i` close their sending side long before the answer is complete.
use strict;
use warnings;
use Socket;

$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';

sub carry {
    my ($from, $to) = @_;
    while (my $got = sysread($from, my $data, 65536)) {
        my $sent = 0;
        while ($sent < $got) {
            my $n = syswrite($to, $data, $got - $sent, $sent);
            return unless defined $n;
            $sent += $n;
        }
    }
}

sub serve {
    my ($client) = @_;
    socket(my $engine, PF_UNIX, SOCK_STREAM, 0) or return;
    connect($engine, pack_sockaddr_un('/run/docker.sock')) or return;
    my $sender = fork();
    return unless defined $sender;
    if ($sender == 0) {
        carry($client, $engine);
        shutdown($engine, 1);
        exit 0;
    }
    carry($engine, $client);
    shutdown($client, 1);
    # The engine is done with this connection. A client that keeps its side open must not keep the sender.
    shutdown($engine, 2);
}

open(my $listener, '+<&=', 3) or die "no listening socket was passed: $!";
while (1) {
    my $ok = accept(my $client, $listener) or next;
    my $child = fork();
    if (defined $child && $child == 0) {
        close($listener);
        serve($client);
        exit 0;
    }
    close($client);
}
