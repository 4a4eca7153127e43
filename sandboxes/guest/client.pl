#!/usr/bin/perl
# Passes this call on to the desk service, under the name that it was called by, and prints the answer.
# Uses no module: loading Socket, strict and warnings takes three times as long as everything else here.

my ( $PF_UNIX, $SOCK_STREAM ) = ( 1, 1 );    # Linux, all architectures
my $MAX_CALL = 512 * 1024;
my $MAX_FILE = 256 * 1024;
my ($name) = $0 =~ m{([^/]+)\z}s;

sub leave {
    my ( $status, $message ) = @_;
    print STDERR "$name: $message\n";
    exit $status;
}

my $desk;

sub put_frame {
    my ( $kind, $payload ) = @_;
    my $data = pack( 'Na', length $payload, $kind ) . $payload;
    while ( length $data ) {
        my $sent = syswrite( $desk, $data );
        leave( 70, 'service unavailable' ) if !defined $sent;
        substr( $data, 0, $sent, '' );
    }
}

sub get_bytes {
    my ($count) = @_;
    my $data = '';
    while ( length $data < $count ) {
        my $got = sysread( $desk, $data, $count - length $data, length $data );
        leave( 70, 'service unavailable' ) if !$got;
    }
    return $data;
}

sub get_frame {
    my ( $count, $kind ) = unpack( 'Na', get_bytes(5) );
    return ( $kind, get_bytes($count) );
}

sub file_text {
    my ($path) = @_;
    my $file;
    if ( $path eq '-' ) { $file = \*STDIN }
    else {
        open( $file, '<', $path ) or return "-$!";
        return '-Is a directory' if -d $file;
    }
    my $text = '';
    while (1) {
        my $got = sysread( $file, $text, 65536, length $text );
        return "-$!" if !defined $got;
        last if !$got;
        return '-File too large' if length $text > $MAX_FILE;
    }
    return "+$text";
}

my $call = join( "\0", $name, @ARGV );
leave( 126, 'Argument list too long' ) if length $call > $MAX_CALL;
$SIG{PIPE} = 'IGNORE';
socket( $desk, $PF_UNIX, $SOCK_STREAM, 0 ) && connect( $desk, pack( 'Sa*x', $PF_UNIX, '/opt/desk/desk.sock' ) )
    or leave( 70, 'service unavailable' );
put_frame( 'C', $call );

my %printed = ( O => '', E => '' );
while (1) {
    my ( $kind, $payload ) = get_frame();
    if ( $kind eq 'F' ) { put_frame( 'D', file_text($payload) ) }
    elsif ( $kind eq 'X' ) {
        $SIG{PIPE} = 'DEFAULT';
        $| = 1;
        print STDOUT $printed{O};
        print STDERR $printed{E};
        exit ord $payload;
    }
    else { $printed{$kind} .= $payload }
}
