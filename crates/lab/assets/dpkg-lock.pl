# With `hold`: takes dpkg's frontend lock the way dpkg and apt take it (fcntl, not flock) and keeps it.
# With `test`: exits 0 when somebody holds that lock, 1 when it is free.
use strict;
use warnings;
use Fcntl;

my $path = '/var/lib/dpkg/lock-frontend';
open(my $lock, '+>>', $path) or die "$path: $!";
my $request = pack('s s x4 q q l x4', F_WRLCK, 0, 0, 0, 0);
if ($ARGV[0] eq 'hold') {
    fcntl($lock, F_SETLK, $request) or die "$path is locked already: $!";
    sleep 3600 while 1;
}
fcntl($lock, F_GETLK, $request) or die "$path: $!";
my ($kind) = unpack('s', $request);
exit($kind == F_UNLCK ? 1 : 0);
