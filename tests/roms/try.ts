import { writeFileSync } from 'node:fs';
import { buildRom } from './rom.ts';
import { runOnBochs, runOnQemu } from './peers.ts';
import { runOnOurs } from './ours.ts';
import { attempt16, attempt32, attempt64, user32, user64, v86, compatibility } from './prelude/attempt.ts';
const t: Record<string, any> = {
 real: { mode: 'real', source: attempt16('ok', 'mov ax, 5') + attempt16('ud', 'ud2') },
 protected: { mode: 'protected', source: attempt32('ok', 'mov ax, 5') + attempt32('gp', 'mov ax, 0x28\nmov ss, ax')+user32('user','mov eax,1\nhlt')+user32('user2','mov eax,1')+v86('v','mov ax,77')},
 paging32: { mode: 'paging32', source: attempt32('ok', 'mov ax, 5') + attempt32('pf', 'mov dword [0x11400], 0\ninvlpg [0x100000]\nmov eax, [0x100123]')},
 pae: { mode: 'pae', source: attempt32('ok', 'mov ax, 5') + attempt32('pf', 'mov dword [0x17800], 0\ninvlpg [0x100000]\nmov eax, [0x100123]')},
 long: { mode: 'long', source: attempt64('ok', 'mov ax, 5') + attempt64('pf', 'mov dword [0x1e800], 0\ninvlpg [0x100000]\nmov eax, [0x100123]')+user64('u','mov eax, 7')+compatibility('c','mov eax, 1')},
};
for (const [k, v] of Object.entries(t)) { console.time(k); const i=buildRom(v); console.timeEnd(k);
 for (const r of [runOnBochs, runOnQemu, (i:any)=>runOnOurs(i,{jit:false})]) {const o = await r(i); console.log(o.output.length > 3000 ? "LONG" : o.end+'\n'+o.output)} }
