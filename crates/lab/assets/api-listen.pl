# Listens on the lab network for the docker API and becomes api-proxy.pl, which wants the listening socket as its
# third descriptor: what systemd's socket unit does on other hosts.
use strict;
use warnings;
use Socket;

# Descriptors up to this one survive the exec.
$^F = 3;
open(my $file, '<', '/run/careen-lab/address') or die "the address of this node: $!";
chomp(my $address = <$file>);
close($file);
socket(my $listener, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
setsockopt($listener, SOL_SOCKET, SO_REUSEADDR, 1) or die "SO_REUSEADDR: $!";
# IP_FREEBIND: the node may boot while it is partitioned.
setsockopt($listener, 0, 15, 1) or die "IP_FREEBIND: $!";
bind($listener, pack_sockaddr_in(2375, inet_aton($address))) or die "$address:2375: $!";
listen($listener, 128) or die "listen: $!";
die 'the listening socket is descriptor ' . fileno($listener) . ", not 3\n" if fileno($listener) != 3;
exec('perl', '/usr/lib/careen-lab/api-proxy.pl') or die "api-proxy.pl: $!";
