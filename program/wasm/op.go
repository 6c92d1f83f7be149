package wasm

// An Op is an instruction's opcode: its byte, or 0x100 and the number behind the prefix 0xFC.
type Op uint16

const prefixed Op = 0x100

// The opcodes, in the order of the binary format.
const (
	// Control.
	Unreachable  Op = 0x00
	Nop          Op = 0x01
	Block        Op = 0x02
	Loop         Op = 0x03
	If           Op = 0x04
	Else         Op = 0x05
	End          Op = 0x0b
	Br           Op = 0x0c
	BrIf         Op = 0x0d
	BrTable      Op = 0x0e
	Return       Op = 0x0f
	Call         Op = 0x10
	CallIndirect Op = 0x11

	// Parametric.
	Drop        Op = 0x1a
	Select      Op = 0x1b
	SelectTyped Op = 0x1c

	// Variable.
	LocalGet  Op = 0x20
	LocalSet  Op = 0x21
	LocalTee  Op = 0x22
	GlobalGet Op = 0x23
	GlobalSet Op = 0x24

	// Table.
	TableGet Op = 0x25
	TableSet Op = 0x26

	// Memory.
	I32Load    Op = 0x28
	I64Load    Op = 0x29
	F32Load    Op = 0x2a
	F64Load    Op = 0x2b
	I32Load8S  Op = 0x2c
	I32Load8U  Op = 0x2d
	I32Load16S Op = 0x2e
	I32Load16U Op = 0x2f
	I64Load8S  Op = 0x30
	I64Load8U  Op = 0x31
	I64Load16S Op = 0x32
	I64Load16U Op = 0x33
	I64Load32S Op = 0x34
	I64Load32U Op = 0x35
	I32Store   Op = 0x36
	I64Store   Op = 0x37
	F32Store   Op = 0x38
	F64Store   Op = 0x39
	I32Store8  Op = 0x3a
	I32Store16 Op = 0x3b
	I64Store8  Op = 0x3c
	I64Store16 Op = 0x3d
	I64Store32 Op = 0x3e
	MemorySize Op = 0x3f
	MemoryGrow Op = 0x40

	// Numeric.
	I32Const          Op = 0x41
	I64Const          Op = 0x42
	F32Const          Op = 0x43
	F64Const          Op = 0x44
	I32Eqz            Op = 0x45
	I32Eq             Op = 0x46
	I32Ne             Op = 0x47
	I32LtS            Op = 0x48
	I32LtU            Op = 0x49
	I32GtS            Op = 0x4a
	I32GtU            Op = 0x4b
	I32LeS            Op = 0x4c
	I32LeU            Op = 0x4d
	I32GeS            Op = 0x4e
	I32GeU            Op = 0x4f
	I64Eqz            Op = 0x50
	I64Eq             Op = 0x51
	I64Ne             Op = 0x52
	I64LtS            Op = 0x53
	I64LtU            Op = 0x54
	I64GtS            Op = 0x55
	I64GtU            Op = 0x56
	I64LeS            Op = 0x57
	I64LeU            Op = 0x58
	I64GeS            Op = 0x59
	I64GeU            Op = 0x5a
	F32Eq             Op = 0x5b
	F32Ne             Op = 0x5c
	F32Lt             Op = 0x5d
	F32Gt             Op = 0x5e
	F32Le             Op = 0x5f
	F32Ge             Op = 0x60
	F64Eq             Op = 0x61
	F64Ne             Op = 0x62
	F64Lt             Op = 0x63
	F64Gt             Op = 0x64
	F64Le             Op = 0x65
	F64Ge             Op = 0x66
	I32Clz            Op = 0x67
	I32Ctz            Op = 0x68
	I32Popcnt         Op = 0x69
	I32Add            Op = 0x6a
	I32Sub            Op = 0x6b
	I32Mul            Op = 0x6c
	I32DivS           Op = 0x6d
	I32DivU           Op = 0x6e
	I32RemS           Op = 0x6f
	I32RemU           Op = 0x70
	I32And            Op = 0x71
	I32Or             Op = 0x72
	I32Xor            Op = 0x73
	I32Shl            Op = 0x74
	I32ShrS           Op = 0x75
	I32ShrU           Op = 0x76
	I32Rotl           Op = 0x77
	I32Rotr           Op = 0x78
	I64Clz            Op = 0x79
	I64Ctz            Op = 0x7a
	I64Popcnt         Op = 0x7b
	I64Add            Op = 0x7c
	I64Sub            Op = 0x7d
	I64Mul            Op = 0x7e
	I64DivS           Op = 0x7f
	I64DivU           Op = 0x80
	I64RemS           Op = 0x81
	I64RemU           Op = 0x82
	I64And            Op = 0x83
	I64Or             Op = 0x84
	I64Xor            Op = 0x85
	I64Shl            Op = 0x86
	I64ShrS           Op = 0x87
	I64ShrU           Op = 0x88
	I64Rotl           Op = 0x89
	I64Rotr           Op = 0x8a
	F32Abs            Op = 0x8b
	F32Neg            Op = 0x8c
	F32Ceil           Op = 0x8d
	F32Floor          Op = 0x8e
	F32Trunc          Op = 0x8f
	F32Nearest        Op = 0x90
	F32Sqrt           Op = 0x91
	F32Add            Op = 0x92
	F32Sub            Op = 0x93
	F32Mul            Op = 0x94
	F32Div            Op = 0x95
	F32Min            Op = 0x96
	F32Max            Op = 0x97
	F32Copysign       Op = 0x98
	F64Abs            Op = 0x99
	F64Neg            Op = 0x9a
	F64Ceil           Op = 0x9b
	F64Floor          Op = 0x9c
	F64Trunc          Op = 0x9d
	F64Nearest        Op = 0x9e
	F64Sqrt           Op = 0x9f
	F64Add            Op = 0xa0
	F64Sub            Op = 0xa1
	F64Mul            Op = 0xa2
	F64Div            Op = 0xa3
	F64Min            Op = 0xa4
	F64Max            Op = 0xa5
	F64Copysign       Op = 0xa6
	I32WrapI64        Op = 0xa7
	I32TruncF32S      Op = 0xa8
	I32TruncF32U      Op = 0xa9
	I32TruncF64S      Op = 0xaa
	I32TruncF64U      Op = 0xab
	I64ExtendI32S     Op = 0xac
	I64ExtendI32U     Op = 0xad
	I64TruncF32S      Op = 0xae
	I64TruncF32U      Op = 0xaf
	I64TruncF64S      Op = 0xb0
	I64TruncF64U      Op = 0xb1
	F32ConvertI32S    Op = 0xb2
	F32ConvertI32U    Op = 0xb3
	F32ConvertI64S    Op = 0xb4
	F32ConvertI64U    Op = 0xb5
	F32DemoteF64      Op = 0xb6
	F64ConvertI32S    Op = 0xb7
	F64ConvertI32U    Op = 0xb8
	F64ConvertI64S    Op = 0xb9
	F64ConvertI64U    Op = 0xba
	F64PromoteF32     Op = 0xbb
	I32ReinterpretF32 Op = 0xbc
	I64ReinterpretF64 Op = 0xbd
	F32ReinterpretI32 Op = 0xbe
	F64ReinterpretI64 Op = 0xbf
	I32Extend8S       Op = 0xc0
	I32Extend16S      Op = 0xc1
	I64Extend8S       Op = 0xc2
	I64Extend16S      Op = 0xc3
	I64Extend32S      Op = 0xc4

	// Reference.
	RefNull   Op = 0xd0
	RefIsNull Op = 0xd1
	RefFunc   Op = 0xd2

	// Prefixed.
	I32TruncSatF32S = prefixed + 0
	I32TruncSatF32U = prefixed + 1
	I32TruncSatF64S = prefixed + 2
	I32TruncSatF64U = prefixed + 3
	I64TruncSatF32S = prefixed + 4
	I64TruncSatF32U = prefixed + 5
	I64TruncSatF64S = prefixed + 6
	I64TruncSatF64U = prefixed + 7
	MemoryInit      = prefixed + 8
	DataDrop        = prefixed + 9
	MemoryCopy      = prefixed + 10
	MemoryFill      = prefixed + 11
	TableInit       = prefixed + 12
	ElemDrop        = prefixed + 13
	TableCopy       = prefixed + 14
	TableGrow       = prefixed + 15
	TableSize       = prefixed + 16
	TableFill       = prefixed + 17
)

// An Imm is a kind of immediate, the part of an instruction behind its opcode.
type Imm uint8

// The kinds of immediates, each with the fields of Instr that it fills. Of two indices of one instruction the second is in Index2.
const (
	_            Imm = iota
	BlockType        // Block
	LabelIndex       // Index: how many enclosing blocks to go out of, 0 for the innermost
	LabelIndices     // Labels: the last one is the default
	SelectType       // Type
	RefType          // Type
	LocalIndex       // Index
	GlobalIndex      // Index
	FuncIndex        // Index
	TypeIndex        // Index
	TableIndex       // Index or Index2
	ElemIndex        // Index
	DataIndex        // Index
	MemoryIndex      // none: it is 0
	MemArg           // Align, Offset
	I32Value         // Value
	I64Value         // Value
	F32Value         // Value
	F64Value         // Value
)

// Imms are the immediates of an instruction in the order of the binary format; 0 where there is none.
type Imms [2]Imm

// Info describes the instructions of one opcode.
type Info struct {
	Name    string // in the text format; the two forms of select share one
	Imm     Imms
	In, Out ValTypes // its topmost operands, and what it pushes last
	Width   uint8    // of loads and stores: bytes in memory
	// Varies is set where immediates or the stack decide more than In and Out say: further types, where control goes, other conditions.
	Varies bool
}

// Info describes the instructions of opcode o, for reading only. Its Name is "" if there are none among those that Decode accepts.
func (o Op) Info() *Info {
	if int(o) >= len(table) {
		return &table[illegal]
	}
	return &table[o]
}

// String returns the name in the text format.
func (o Op) String() string { return o.Info().Name }

// illegal is an opcode that stays one: it announces others.
const illegal Op = 0xfc

const (
	i32     = ValTypes(I32)
	i64     = ValTypes(I64)
	f32     = ValTypes(F32)
	f64     = ValTypes(F64)
	funcref = ValTypes(FuncRef)
)

// table has every accepted opcode.
var table = [...]Info{
	Unreachable:  {Name: "unreachable", Varies: true},
	Nop:          {Name: "nop"},
	Block:        {Name: "block", Imm: Imms{BlockType}, Varies: true},
	Loop:         {Name: "loop", Imm: Imms{BlockType}, Varies: true},
	If:           {Name: "if", Imm: Imms{BlockType}, In: i32, Varies: true},
	Else:         {Name: "else", Varies: true},
	End:          {Name: "end", Varies: true},
	Br:           {Name: "br", Imm: Imms{LabelIndex}, Varies: true},
	BrIf:         {Name: "br_if", Imm: Imms{LabelIndex}, In: i32, Varies: true},
	BrTable:      {Name: "br_table", Imm: Imms{LabelIndices}, In: i32, Varies: true},
	Return:       {Name: "return", Varies: true},
	Call:         {Name: "call", Imm: Imms{FuncIndex}, Varies: true},
	CallIndirect: {Name: "call_indirect", Imm: Imms{TypeIndex, TableIndex}, In: i32, Varies: true},

	Drop:        {Name: "drop", Varies: true},
	Select:      {Name: "select", In: i32, Varies: true},
	SelectTyped: {Name: "select", Imm: Imms{SelectType}, In: i32, Varies: true},

	LocalGet:  {Name: "local.get", Imm: Imms{LocalIndex}, Varies: true},
	LocalSet:  {Name: "local.set", Imm: Imms{LocalIndex}, Varies: true},
	LocalTee:  {Name: "local.tee", Imm: Imms{LocalIndex}, Varies: true},
	GlobalGet: {Name: "global.get", Imm: Imms{GlobalIndex}, Varies: true},
	GlobalSet: {Name: "global.set", Imm: Imms{GlobalIndex}, Varies: true},

	TableGet: {Name: "table.get", Imm: Imms{TableIndex}, In: i32, Varies: true},
	TableSet: {Name: "table.set", Imm: Imms{TableIndex}, Varies: true},

	I32Load:    {Name: "i32.load", Imm: Imms{MemArg}, Width: 4, In: i32, Out: i32},
	I64Load:    {Name: "i64.load", Imm: Imms{MemArg}, Width: 8, In: i32, Out: i64},
	F32Load:    {Name: "f32.load", Imm: Imms{MemArg}, Width: 4, In: i32, Out: f32},
	F64Load:    {Name: "f64.load", Imm: Imms{MemArg}, Width: 8, In: i32, Out: f64},
	I32Load8S:  {Name: "i32.load8_s", Imm: Imms{MemArg}, Width: 1, In: i32, Out: i32},
	I32Load8U:  {Name: "i32.load8_u", Imm: Imms{MemArg}, Width: 1, In: i32, Out: i32},
	I32Load16S: {Name: "i32.load16_s", Imm: Imms{MemArg}, Width: 2, In: i32, Out: i32},
	I32Load16U: {Name: "i32.load16_u", Imm: Imms{MemArg}, Width: 2, In: i32, Out: i32},
	I64Load8S:  {Name: "i64.load8_s", Imm: Imms{MemArg}, Width: 1, In: i32, Out: i64},
	I64Load8U:  {Name: "i64.load8_u", Imm: Imms{MemArg}, Width: 1, In: i32, Out: i64},
	I64Load16S: {Name: "i64.load16_s", Imm: Imms{MemArg}, Width: 2, In: i32, Out: i64},
	I64Load16U: {Name: "i64.load16_u", Imm: Imms{MemArg}, Width: 2, In: i32, Out: i64},
	I64Load32S: {Name: "i64.load32_s", Imm: Imms{MemArg}, Width: 4, In: i32, Out: i64},
	I64Load32U: {Name: "i64.load32_u", Imm: Imms{MemArg}, Width: 4, In: i32, Out: i64},
	I32Store:   {Name: "i32.store", Imm: Imms{MemArg}, Width: 4, In: i32 + i32},
	I64Store:   {Name: "i64.store", Imm: Imms{MemArg}, Width: 8, In: i32 + i64},
	F32Store:   {Name: "f32.store", Imm: Imms{MemArg}, Width: 4, In: i32 + f32},
	F64Store:   {Name: "f64.store", Imm: Imms{MemArg}, Width: 8, In: i32 + f64},
	I32Store8:  {Name: "i32.store8", Imm: Imms{MemArg}, Width: 1, In: i32 + i32},
	I32Store16: {Name: "i32.store16", Imm: Imms{MemArg}, Width: 2, In: i32 + i32},
	I64Store8:  {Name: "i64.store8", Imm: Imms{MemArg}, Width: 1, In: i32 + i64},
	I64Store16: {Name: "i64.store16", Imm: Imms{MemArg}, Width: 2, In: i32 + i64},
	I64Store32: {Name: "i64.store32", Imm: Imms{MemArg}, Width: 4, In: i32 + i64},
	MemorySize: {Name: "memory.size", Imm: Imms{MemoryIndex}, Out: i32},
	MemoryGrow: {Name: "memory.grow", Imm: Imms{MemoryIndex}, In: i32, Out: i32},

	I32Const:          {Name: "i32.const", Imm: Imms{I32Value}, Out: i32},
	I64Const:          {Name: "i64.const", Imm: Imms{I64Value}, Out: i64},
	F32Const:          {Name: "f32.const", Imm: Imms{F32Value}, Out: f32},
	F64Const:          {Name: "f64.const", Imm: Imms{F64Value}, Out: f64},
	I32Eqz:            {Name: "i32.eqz", In: i32, Out: i32},
	I32Eq:             {Name: "i32.eq", In: i32 + i32, Out: i32},
	I32Ne:             {Name: "i32.ne", In: i32 + i32, Out: i32},
	I32LtS:            {Name: "i32.lt_s", In: i32 + i32, Out: i32},
	I32LtU:            {Name: "i32.lt_u", In: i32 + i32, Out: i32},
	I32GtS:            {Name: "i32.gt_s", In: i32 + i32, Out: i32},
	I32GtU:            {Name: "i32.gt_u", In: i32 + i32, Out: i32},
	I32LeS:            {Name: "i32.le_s", In: i32 + i32, Out: i32},
	I32LeU:            {Name: "i32.le_u", In: i32 + i32, Out: i32},
	I32GeS:            {Name: "i32.ge_s", In: i32 + i32, Out: i32},
	I32GeU:            {Name: "i32.ge_u", In: i32 + i32, Out: i32},
	I64Eqz:            {Name: "i64.eqz", In: i64, Out: i32},
	I64Eq:             {Name: "i64.eq", In: i64 + i64, Out: i32},
	I64Ne:             {Name: "i64.ne", In: i64 + i64, Out: i32},
	I64LtS:            {Name: "i64.lt_s", In: i64 + i64, Out: i32},
	I64LtU:            {Name: "i64.lt_u", In: i64 + i64, Out: i32},
	I64GtS:            {Name: "i64.gt_s", In: i64 + i64, Out: i32},
	I64GtU:            {Name: "i64.gt_u", In: i64 + i64, Out: i32},
	I64LeS:            {Name: "i64.le_s", In: i64 + i64, Out: i32},
	I64LeU:            {Name: "i64.le_u", In: i64 + i64, Out: i32},
	I64GeS:            {Name: "i64.ge_s", In: i64 + i64, Out: i32},
	I64GeU:            {Name: "i64.ge_u", In: i64 + i64, Out: i32},
	F32Eq:             {Name: "f32.eq", In: f32 + f32, Out: i32},
	F32Ne:             {Name: "f32.ne", In: f32 + f32, Out: i32},
	F32Lt:             {Name: "f32.lt", In: f32 + f32, Out: i32},
	F32Gt:             {Name: "f32.gt", In: f32 + f32, Out: i32},
	F32Le:             {Name: "f32.le", In: f32 + f32, Out: i32},
	F32Ge:             {Name: "f32.ge", In: f32 + f32, Out: i32},
	F64Eq:             {Name: "f64.eq", In: f64 + f64, Out: i32},
	F64Ne:             {Name: "f64.ne", In: f64 + f64, Out: i32},
	F64Lt:             {Name: "f64.lt", In: f64 + f64, Out: i32},
	F64Gt:             {Name: "f64.gt", In: f64 + f64, Out: i32},
	F64Le:             {Name: "f64.le", In: f64 + f64, Out: i32},
	F64Ge:             {Name: "f64.ge", In: f64 + f64, Out: i32},
	I32Clz:            {Name: "i32.clz", In: i32, Out: i32},
	I32Ctz:            {Name: "i32.ctz", In: i32, Out: i32},
	I32Popcnt:         {Name: "i32.popcnt", In: i32, Out: i32},
	I32Add:            {Name: "i32.add", In: i32 + i32, Out: i32},
	I32Sub:            {Name: "i32.sub", In: i32 + i32, Out: i32},
	I32Mul:            {Name: "i32.mul", In: i32 + i32, Out: i32},
	I32DivS:           {Name: "i32.div_s", In: i32 + i32, Out: i32},
	I32DivU:           {Name: "i32.div_u", In: i32 + i32, Out: i32},
	I32RemS:           {Name: "i32.rem_s", In: i32 + i32, Out: i32},
	I32RemU:           {Name: "i32.rem_u", In: i32 + i32, Out: i32},
	I32And:            {Name: "i32.and", In: i32 + i32, Out: i32},
	I32Or:             {Name: "i32.or", In: i32 + i32, Out: i32},
	I32Xor:            {Name: "i32.xor", In: i32 + i32, Out: i32},
	I32Shl:            {Name: "i32.shl", In: i32 + i32, Out: i32},
	I32ShrS:           {Name: "i32.shr_s", In: i32 + i32, Out: i32},
	I32ShrU:           {Name: "i32.shr_u", In: i32 + i32, Out: i32},
	I32Rotl:           {Name: "i32.rotl", In: i32 + i32, Out: i32},
	I32Rotr:           {Name: "i32.rotr", In: i32 + i32, Out: i32},
	I64Clz:            {Name: "i64.clz", In: i64, Out: i64},
	I64Ctz:            {Name: "i64.ctz", In: i64, Out: i64},
	I64Popcnt:         {Name: "i64.popcnt", In: i64, Out: i64},
	I64Add:            {Name: "i64.add", In: i64 + i64, Out: i64},
	I64Sub:            {Name: "i64.sub", In: i64 + i64, Out: i64},
	I64Mul:            {Name: "i64.mul", In: i64 + i64, Out: i64},
	I64DivS:           {Name: "i64.div_s", In: i64 + i64, Out: i64},
	I64DivU:           {Name: "i64.div_u", In: i64 + i64, Out: i64},
	I64RemS:           {Name: "i64.rem_s", In: i64 + i64, Out: i64},
	I64RemU:           {Name: "i64.rem_u", In: i64 + i64, Out: i64},
	I64And:            {Name: "i64.and", In: i64 + i64, Out: i64},
	I64Or:             {Name: "i64.or", In: i64 + i64, Out: i64},
	I64Xor:            {Name: "i64.xor", In: i64 + i64, Out: i64},
	I64Shl:            {Name: "i64.shl", In: i64 + i64, Out: i64},
	I64ShrS:           {Name: "i64.shr_s", In: i64 + i64, Out: i64},
	I64ShrU:           {Name: "i64.shr_u", In: i64 + i64, Out: i64},
	I64Rotl:           {Name: "i64.rotl", In: i64 + i64, Out: i64},
	I64Rotr:           {Name: "i64.rotr", In: i64 + i64, Out: i64},
	F32Abs:            {Name: "f32.abs", In: f32, Out: f32},
	F32Neg:            {Name: "f32.neg", In: f32, Out: f32},
	F32Ceil:           {Name: "f32.ceil", In: f32, Out: f32},
	F32Floor:          {Name: "f32.floor", In: f32, Out: f32},
	F32Trunc:          {Name: "f32.trunc", In: f32, Out: f32},
	F32Nearest:        {Name: "f32.nearest", In: f32, Out: f32},
	F32Sqrt:           {Name: "f32.sqrt", In: f32, Out: f32},
	F32Add:            {Name: "f32.add", In: f32 + f32, Out: f32},
	F32Sub:            {Name: "f32.sub", In: f32 + f32, Out: f32},
	F32Mul:            {Name: "f32.mul", In: f32 + f32, Out: f32},
	F32Div:            {Name: "f32.div", In: f32 + f32, Out: f32},
	F32Min:            {Name: "f32.min", In: f32 + f32, Out: f32},
	F32Max:            {Name: "f32.max", In: f32 + f32, Out: f32},
	F32Copysign:       {Name: "f32.copysign", In: f32 + f32, Out: f32},
	F64Abs:            {Name: "f64.abs", In: f64, Out: f64},
	F64Neg:            {Name: "f64.neg", In: f64, Out: f64},
	F64Ceil:           {Name: "f64.ceil", In: f64, Out: f64},
	F64Floor:          {Name: "f64.floor", In: f64, Out: f64},
	F64Trunc:          {Name: "f64.trunc", In: f64, Out: f64},
	F64Nearest:        {Name: "f64.nearest", In: f64, Out: f64},
	F64Sqrt:           {Name: "f64.sqrt", In: f64, Out: f64},
	F64Add:            {Name: "f64.add", In: f64 + f64, Out: f64},
	F64Sub:            {Name: "f64.sub", In: f64 + f64, Out: f64},
	F64Mul:            {Name: "f64.mul", In: f64 + f64, Out: f64},
	F64Div:            {Name: "f64.div", In: f64 + f64, Out: f64},
	F64Min:            {Name: "f64.min", In: f64 + f64, Out: f64},
	F64Max:            {Name: "f64.max", In: f64 + f64, Out: f64},
	F64Copysign:       {Name: "f64.copysign", In: f64 + f64, Out: f64},
	I32WrapI64:        {Name: "i32.wrap_i64", In: i64, Out: i32},
	I32TruncF32S:      {Name: "i32.trunc_f32_s", In: f32, Out: i32},
	I32TruncF32U:      {Name: "i32.trunc_f32_u", In: f32, Out: i32},
	I32TruncF64S:      {Name: "i32.trunc_f64_s", In: f64, Out: i32},
	I32TruncF64U:      {Name: "i32.trunc_f64_u", In: f64, Out: i32},
	I64ExtendI32S:     {Name: "i64.extend_i32_s", In: i32, Out: i64},
	I64ExtendI32U:     {Name: "i64.extend_i32_u", In: i32, Out: i64},
	I64TruncF32S:      {Name: "i64.trunc_f32_s", In: f32, Out: i64},
	I64TruncF32U:      {Name: "i64.trunc_f32_u", In: f32, Out: i64},
	I64TruncF64S:      {Name: "i64.trunc_f64_s", In: f64, Out: i64},
	I64TruncF64U:      {Name: "i64.trunc_f64_u", In: f64, Out: i64},
	F32ConvertI32S:    {Name: "f32.convert_i32_s", In: i32, Out: f32},
	F32ConvertI32U:    {Name: "f32.convert_i32_u", In: i32, Out: f32},
	F32ConvertI64S:    {Name: "f32.convert_i64_s", In: i64, Out: f32},
	F32ConvertI64U:    {Name: "f32.convert_i64_u", In: i64, Out: f32},
	F32DemoteF64:      {Name: "f32.demote_f64", In: f64, Out: f32},
	F64ConvertI32S:    {Name: "f64.convert_i32_s", In: i32, Out: f64},
	F64ConvertI32U:    {Name: "f64.convert_i32_u", In: i32, Out: f64},
	F64ConvertI64S:    {Name: "f64.convert_i64_s", In: i64, Out: f64},
	F64ConvertI64U:    {Name: "f64.convert_i64_u", In: i64, Out: f64},
	F64PromoteF32:     {Name: "f64.promote_f32", In: f32, Out: f64},
	I32ReinterpretF32: {Name: "i32.reinterpret_f32", In: f32, Out: i32},
	I64ReinterpretF64: {Name: "i64.reinterpret_f64", In: f64, Out: i64},
	F32ReinterpretI32: {Name: "f32.reinterpret_i32", In: i32, Out: f32},
	F64ReinterpretI64: {Name: "f64.reinterpret_i64", In: i64, Out: f64},
	I32Extend8S:       {Name: "i32.extend8_s", In: i32, Out: i32},
	I32Extend16S:      {Name: "i32.extend16_s", In: i32, Out: i32},
	I64Extend8S:       {Name: "i64.extend8_s", In: i64, Out: i64},
	I64Extend16S:      {Name: "i64.extend16_s", In: i64, Out: i64},
	I64Extend32S:      {Name: "i64.extend32_s", In: i64, Out: i64},

	RefNull:   {Name: "ref.null", Imm: Imms{RefType}, Varies: true},
	RefIsNull: {Name: "ref.is_null", Out: i32, Varies: true},
	RefFunc:   {Name: "ref.func", Imm: Imms{FuncIndex}, Out: funcref, Varies: true},

	I32TruncSatF32S: {Name: "i32.trunc_sat_f32_s", In: f32, Out: i32},
	I32TruncSatF32U: {Name: "i32.trunc_sat_f32_u", In: f32, Out: i32},
	I32TruncSatF64S: {Name: "i32.trunc_sat_f64_s", In: f64, Out: i32},
	I32TruncSatF64U: {Name: "i32.trunc_sat_f64_u", In: f64, Out: i32},
	I64TruncSatF32S: {Name: "i64.trunc_sat_f32_s", In: f32, Out: i64},
	I64TruncSatF32U: {Name: "i64.trunc_sat_f32_u", In: f32, Out: i64},
	I64TruncSatF64S: {Name: "i64.trunc_sat_f64_s", In: f64, Out: i64},
	I64TruncSatF64U: {Name: "i64.trunc_sat_f64_u", In: f64, Out: i64},
	MemoryInit:      {Name: "memory.init", Imm: Imms{DataIndex, MemoryIndex}, In: i32 + i32 + i32},
	DataDrop:        {Name: "data.drop", Imm: Imms{DataIndex}},
	MemoryCopy:      {Name: "memory.copy", Imm: Imms{MemoryIndex, MemoryIndex}, In: i32 + i32 + i32},
	MemoryFill:      {Name: "memory.fill", Imm: Imms{MemoryIndex}, In: i32 + i32 + i32},
	TableInit:       {Name: "table.init", Imm: Imms{ElemIndex, TableIndex}, In: i32 + i32 + i32, Varies: true},
	ElemDrop:        {Name: "elem.drop", Imm: Imms{ElemIndex}},
	TableCopy:       {Name: "table.copy", Imm: Imms{TableIndex, TableIndex}, In: i32 + i32 + i32, Varies: true},
	TableGrow:       {Name: "table.grow", Imm: Imms{TableIndex}, In: i32, Out: i32, Varies: true},
	TableSize:       {Name: "table.size", Imm: Imms{TableIndex}, Out: i32},
	TableFill:       {Name: "table.fill", Imm: Imms{TableIndex}, In: i32, Varies: true},
}

// constant reports that constant expressions may have the instruction.
func (o Op) constant() bool {
	switch o {
	case I32Const, I64Const, F32Const, F64Const, RefNull, RefFunc, GlobalGet, End:
		return true
	}
	return false
}
