-- wrk asks for the paths of a file in turn: wrk -s in_turn.lua URL -- FILE
local requests, last = {}, 0

init = function(arguments)
  for path in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("GET", path)
  end
end

request = function()
  last = last % #requests + 1
  return requests[last]
end
