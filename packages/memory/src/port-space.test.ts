import { InvalidArgumentError, type PortDevice } from '@minusone/core';
import { expect, test } from 'vitest';
import { byteWide, NotMappedError, PortOverlapError, PortSpace } from './index.ts';

function probe(name = '', log: string[] = []): PortDevice & { log: string[] } {
  return {
    log,
    readPort(port, size) {
      log.push(`${name}r${size}@${port.toString(16)}`);
      return 0x8877_6600 + (port & 0xff);
    },
    writePort(port, size, value) {
      log.push(`${name}w${size}@${port.toString(16)}=${value.toString(16)}`);
    },
  };
}

test('an unclaimed port reads all ones and drops writes', () => {
  const ports = new PortSpace();
  ports.write(0x80, 4, 1);
  expect([ports.read(0x80, 1), ports.read(0x80, 2), ports.read(0x80, 4)]).toEqual([0xff, 0xffff, 0xffff_ffff]);
});

test('an access within one range goes to its device whole, with an absolute port and exactly its size of value', () => {
  const ports = new PortSpace();
  const device = probe();
  ports.map(0xcf8, 8, device);
  expect(ports.read(0xcf8, 4)).toBe(0x8877_66f8);
  expect(ports.read(0xcfc, 2)).toBe(0x66fc);
  expect(ports.read(0xcff, 1)).toBe(0xff);
  ports.write(0xcf8, 4, -1);
  ports.write(0xcfd, 1, 0x1234);
  expect(device.log).toEqual(['r4@cf8', 'r2@cfc', 'r1@cff', 'w4@cf8=ffffffff', 'w1@cfd=34']);
});

test('an access wider than a claim is split into bytes, lowest port first (ISA), and unclaimed bytes read ones', () => {
  const ports = new PortSpace();
  const log: string[] = [];
  ports.map(0x60, 1, probe('a', log));
  ports.map(0x61, 2, probe('b', log));
  expect(ports.read(0x60, 4)).toBe(0xff62_6160);
  ports.write(0x60, 4, 0x4433_2211);
  expect(log).toEqual(['ar1@60', 'br1@61', 'br1@62', 'aw1@60=11', 'bw1@61=22', 'bw1@62=33']);
});

test('an access that runs past port 0xFFFF reads ones there', () => {
  const ports = new PortSpace();
  const device = probe();
  ports.map(0xffff, 1, device);
  expect(ports.read(0xffff, 4)).toBe(0xffff_ffff);
  ports.write(0xffff, 2, 0x1234);
  expect(device.log).toEqual(['r1@ffff', 'w1@ffff=34']);
});

test('byteWide shows a device single bytes only', () => {
  const ports = new PortSpace();
  const device = probe();
  ports.map(0x3f8, 8, byteWide(device));
  expect(ports.read(0x3f8, 4)).toBe(0xfbfa_f9f8);
  ports.write(0x3f8, 2, 0xbeef);
  expect(device.log).toEqual(['r1@3f8', 'r1@3f9', 'r1@3fa', 'r1@3fb', 'w1@3f8=ef', 'w1@3f9=be']);
});

test('overlapping, impossible and unknown ranges are named errors; unmapping frees the ports', () => {
  const ports = new PortSpace();
  const range = ports.map(0x20, 2, probe());
  expect(() => ports.map(0x21, 1, probe())).toThrow('I/O ports 0x21..0x21 overlap 0x20..0x21.');
  expect(() => ports.map(0x10, 0x100, probe())).toThrow(PortOverlapError);
  expect(() => ports.map(0xffff, 2, probe())).toThrow(InvalidArgumentError);
  expect(() => ports.map(0, 0, probe())).toThrow(InvalidArgumentError);
  expect(ports.read(0x21, 1)).toBe(0x21);
  ports.unmap(range);
  expect(ports.read(0x21, 1)).toBe(0xff);
  expect(() => ports.unmap(range)).toThrow(NotMappedError);
  ports.map(0x21, 1, probe());
  expect([ports.read(0x20, 1), ports.read(0x21, 1)]).toEqual([0xff, 0x21]);
});
