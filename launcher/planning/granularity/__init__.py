"""What the hardware rounds a matrix multiplication up to: element groups, tiles and waves. Notes, never refusals."""
