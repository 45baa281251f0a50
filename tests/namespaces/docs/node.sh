# What every node of the documentation has: Debian's programs and main plugins, an uplink eth0, the
# project as the working directory, and the programs as `cargo build --release` would have left them.
# The plugins in /opt/cni/bin are ours, the reference's, or none; where they are about to be installed,
# there is a tarball as `make dist` makes it. Everything that is written goes to memory.
exec 2>&1
set -e
mount -t tmpfs tmpfs "$dir"
cd "$dir"
mkdir .root .binaries .etc
mount --bind "$root" .root
mount --bind "$binaries" .binaries
for place in .root .binaries; do mount -o remount,bind,ro $place; done
# What an ordinary user cannot read is not needed.
cp -a /etc/. .etc/ 2>/dev/null || true
mount --bind .etc /etc
for place in /opt /run /usr/local /var/lib /var/log; do mount -t tmpfs tmpfs $place; done
mount -t sysfs sysfs /sys
rm -rf /etc/cni
mkdir -p /etc/systemd/system /usr/local/bin target/host/release target/dist
[ $kind = bare ] || mkdir -p /etc/cni/net.d /opt/cni/bin
for entry in .root/*; do
    case $entry in */target) ;; *) ln -s "$dir/$entry" . ;; esac
done
for program in tuning portmap bandwidth cnictl; do
    ln -s "$dir/.binaries/$program" target/host/release/
done
[ $kind = bare ] || ln -s "$dir/.binaries/cnictl" /usr/local/bin/
case $kind in
    ours)
        ln -s "$dir/.binaries/"{tuning,portmap,bandwidth} /opt/cni/bin/
        PATH=$PATH:/opt/cni/bin
        ;;
    reference) cp /usr/lib/cni/{tuning,portmap,bandwidth} /opt/cni/bin/ ;;
esac
case $kind in
    reference | bare)
        tar --owner=0 --group=0 -C .binaries -cf "target/dist/cni-plugins-linux-amd64-v$version.tgz" \
            ./tuning ./portmap ./bandwidth ./cnictl
        ;;
esac
ip link set lo up
ip link add eth0 type veth peer name outside
ip address add 192.0.2.10/24 dev eth0
ip link set eth0 up
ip link set outside up
set +e
